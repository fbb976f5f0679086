"""The interactive display: a build's stages, drawn over themselves on a terminal.

`stages` groups the steps, `rows` chooses what the screen has room for, `render` makes lines of it,
`painter` writes what changed, `tty` puts them together. Only `painter` does I/O.
"""
