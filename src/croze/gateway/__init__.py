"""The bridge between a frontend and the solver.

`bridge` is what a frontend may ask of a running build; `resolver` gives it to the Dockerfile
frontend, `forward` serves it over gRPC to frontends that run in the client.
"""
