"""The client: connect to a daemon, lend it a session, solve, follow its status.

`flags` are parsed, `planning` turns a build's options into a plan, `connect` reaches a daemon,
`solving` carries a plan out, `builds` does it all. `policies` are asked about sources, `layouts`
and local caches read and written. `docker` is about Docker engines, `crozed` about what only our
own engine answers, `records` about builds of the past.
"""
