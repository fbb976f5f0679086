"""Manifests, indexes, configs, platforms, references, annotations: typed, immutable values."""
