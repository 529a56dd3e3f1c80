"""Apps that take the name of a user from REMOTE_USER or a header: each file runs in an environment of its own."""
