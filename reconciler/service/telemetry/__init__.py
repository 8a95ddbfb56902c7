"""What an operator sees of a running service: an access log and metrics."""
