"""`.dockerbuild` bundles: build records, with what belongs to them, in a file.

An OCI layout as `tar.gz`: each record is a manifest whose config is the record as JSON (`record`)
and whose layers are its log, trace (`spans`), attestations and results; several records are under
one index. `write` makes bundles out of daemons' records, `read` takes them apart, `upload` hands
them over. Source of the format: docker/buildx `util/desktop/bundle`.
"""
