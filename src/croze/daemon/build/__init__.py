"""One build, from its request to its answer: `build` is the whole of it. What the request asks for
(`sources`, `entitlements`, `exports`, `caches`, `attestations`), what is made of a result before it
is exported (`results`, `platform_check`, `provenance`, `sboms`), and what clients and the history
are told of it (`status`, `recording`, `failure`, `info`)."""
