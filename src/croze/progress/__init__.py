"""Draws a build: a stream of status becomes text.

`display.make_display` picks one of `plain`, `tty`, `rawjson` and `quiet`; `model` keeps the state
that they draw; `errors` prints what went wrong, `warnings` what may.
"""
