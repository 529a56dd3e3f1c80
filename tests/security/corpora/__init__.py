"""Inputs that broke other software, from the standards and the write-ups of the CVEs that security.md names."""
