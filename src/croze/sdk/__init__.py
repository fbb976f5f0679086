"""Croze as a library: what `import croze` gives, on which the commands stand, too.

`builder` and `sync` are the two faces of a builder, with and without `await`; `options`, `results`
and `events` are what goes in and comes out; `running` is one build while it runs. `parted` puts a
build on the nodes of a builder, `merge` puts their parts together, `remember` keeps for the history
what only this machine knows.
"""
