"""What many runs add up to: where resources stand, and what is worth telling."""
