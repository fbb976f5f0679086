"""Caches outside the daemon: their format, and importers and exporters of it by kind: inline,
registry, local, and those in object storage (`objects`); cache mounts that travel with them
(`mounts`). Cache keys are the solver's, layers the store's; nothing here decides what runs.
"""
