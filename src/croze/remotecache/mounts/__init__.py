"""Contents of cache mounts that travel with a cache: `--cache-to type=…,mounts=…`.

Each mount is a bundle (`fs.bundle`): an index and packs, blobs beside the cache's own layers
(`remotecache.beside`), and one listing says which there are. docs/cache-mounts.md has the format.
"""
