"""Exporters: a result becomes an image, an archive or files.

`contract` says what an exporter promises; `image`, `archive` and `files` keep it, and `open`
chooses by `options`. `commit` makes an image of a result (`layers`, `patch` for its config,
`attestations`), `deliver` brings its blobs to where they are wanted. Attestations come as `bundles`
and `predicates` of frontends and scanners, and leave as `statements` beside files. `place` and
`rewrite` run in worker processes.
"""
