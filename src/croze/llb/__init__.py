"""Ops and definitions: build, marshal, load, digest. `croze.llb` is also the public Python DSL."""
