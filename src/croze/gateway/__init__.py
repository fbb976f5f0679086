"""The bridge between a frontend and the solver.

`contract` is what a frontend may ask of a running build, `bridge` one build's, `source_resolution`
its questions about sources; `results` are what it gives (`owned` by the bridge, with `scopes` and
`accounts` of how they came to be). `frontends` that come with the daemon: `dockerfile_frontend`, by
`resolver` (`conversions` remembers what it made), and `external`, images that speak over `stdio`;
`guest` is the other end, in Python. `forward` serves the bridge over gRPC to frontends that run in
the client, `serve` a build of it, `execs` and `containers` what they run. `policy` and `verify` say
which sources a build may use, and `imports` opens the caches that it looks into.
"""
