"""nipo_auth_mw beside what else gives a Python app its sign-in."""
