"""Warm worker processes: calls and conversations, shares, deadlines, and cancellation by killing.

What may go in: how the work is handed out. What is done in a worker stays with the package that
knows. `forkserver` makes the processes, `crew` keeps those at rest, `pool` and `shares` hand them
out; `inside` is what runs in them.
"""
