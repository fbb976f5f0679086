"""What only a `crozed` answers: its image store and self-checks (`calls`), running an image, cache
mounts moved, why steps missed the cache.
"""
