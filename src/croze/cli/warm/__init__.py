"""The user's warm process: `process` accepts callers, `children` are those of it that wait or run a
command (`child`), `preload` has everything imported beforehand. At the other end (`callers`) is
`cli.thin`, with a socket, or scripts/quick_start.bash, with FIFOs (`slots`).
"""
