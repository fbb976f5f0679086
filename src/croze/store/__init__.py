"""State on disk: blobs, snapshots, metadata, cache mounts, leases, garbage collection."""
