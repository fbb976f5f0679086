"""The client: connect to a daemon, lend it a session, solve, follow its status.

A `plan` is what a daemon is asked for, and what it is lent. `flags` are parsed, `planning` turns a
build's options into a plan, `solving` carries it out while `policies` are asked about sources, and
`connect` reaches a daemon that does; `builds` does it all. `layouts` and local caches are read and
written. `docker` is about Docker engines, `crozed` about what only our own engine answers,
`decisions` about policies without a build, `records` about builds of the past.
"""
