"""Policies asked where nothing is built: `decide` asks for one decision, `commands` are
`policy eval` and `policy test`, `builder_images` checks the image that a builder runs.
"""
