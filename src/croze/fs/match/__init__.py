"""Patterns of paths: ignore and include patterns, `.dockerignore` files, and globs."""
