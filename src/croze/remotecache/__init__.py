"""Caches outside the daemon: their format, and importers and exporters of it by kind (inline,
registry, local). Cache keys are the solver's, layers the store's; nothing here decides what runs.
"""
