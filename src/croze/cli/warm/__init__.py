"""The user's warm process: `process` accepts callers, `children` are those of it that wait or run a
command (`child`), `preload` has everything imported beforehand. The other end is `cli.thin`.
"""
