"""Passwords and the values that the middleware signs."""
