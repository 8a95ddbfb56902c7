"""``report``: where everything stands, and how it came to stand there. Changes nothing."""
