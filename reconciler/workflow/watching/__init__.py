"""Reconciling again and again, and telling the world outside how that goes.

Every round is a whole ``apply``; what is told of it (metrics, notifications) never changes what it
does or how it ends.
"""
