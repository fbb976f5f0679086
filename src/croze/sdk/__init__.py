"""Croze as a library: what `import croze` gives, on which the commands stand, too.

`builder` and `sync` are the two faces of a builder, with and without `await`; `options` and
`results` are what goes in and comes out (events are `progress.events`); `running` is one build
while it runs. `multinode` puts a build on the nodes of a builder, `merge` puts their parts
together, `remember` keeps for the history what only this machine knows.
"""
