"""Values → text: for terminals, JSON and Markdown. Returns strings, never prints.

Whatever came from a manifest or from the API is made harmless here before anybody shows it.
"""
