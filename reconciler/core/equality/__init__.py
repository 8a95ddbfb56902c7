"""When two things are the same: one normal form, one digest, and what differs if they are not."""
