"""OCI layouts in directories of the client, and the local caches that are such: what a build finds
there (`local_caches`), their `index.json` (`ociindex`), what of an old cache goes (`cache_reset`).
"""
