"""Measurements of requests, floods, long lists and timing differences."""
