"""The background of a process."""
