"""Modules become a tree of rules whose names are resolved and whose bodies are in order."""
