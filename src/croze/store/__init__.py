"""State on disk: blobs, snapshots, metadata, cache mounts, leases, garbage collection.

Read `contract` first, then `open` (which puts the parts together), `records` (what is known of each
ref, kept in a `table`) and `core`; each operation on refs has a module of its own: `unpack`,
`layer_blobs`, `lazy`, `merge`, `stacks`, `ref_mounts`, `twins`, `cachemounts`, `prune`. `gc` and
`filters` are pure. `mount` and `overlay_mount` make the mounts that a snapshotter (`snapshots`)
describes; the contracts of cache mounts and of who watches have modules of their own.
"""
