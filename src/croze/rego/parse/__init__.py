"""A text becomes a syntax tree."""
