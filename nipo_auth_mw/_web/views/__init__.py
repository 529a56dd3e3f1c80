"""The views: one module for each feature."""
