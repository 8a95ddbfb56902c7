"""Which part of a project a run is about."""
