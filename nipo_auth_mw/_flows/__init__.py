"""The rules of each feature, without HTTP and SQL: one module a feature."""
