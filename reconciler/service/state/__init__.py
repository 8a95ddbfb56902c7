"""The data directory and the database in it."""
