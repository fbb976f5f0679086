"""The bridge between a frontend and the solver.

`contract` is what a frontend may ask of a running build, `bridge` one build's, `source_resolution`
its questions about sources; `resolver` gives it to the Dockerfile frontend, `forward` serves it
over gRPC to frontends that run in the client.
"""
