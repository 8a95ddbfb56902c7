"""What is shown while a command works."""
