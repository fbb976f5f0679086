"""The client: connect to a daemon, lend it a session, solve, follow its status.

`flags_*` read buildx's flag grammars, `options` turns build options into a `plan` (`planning`, with
`inputs`, `outputs` and `lending`), `connect` reaches a daemon, `solve` carries a plan out, `build`
does it all; `targets` builds many at once, `multinode` one over several nodes, `detached` one that
goes on without us. `result` is what came of it, `metadata` the files that tell of it. `policies`
and `policy_*` are asked about sources; `engine*` and `docker` are about Docker engines; `history`,
`bundles` and `provenance` about builds of the past.
"""
