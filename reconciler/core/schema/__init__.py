"""What a JSON Schema says: of a value that breaks it, and of its fields."""
