"""Jobs: who runs them, how their rows are made and kept, and the models they ask."""
