"""The decision core: load, share, match, schedule, cancel.

It knows vertices, keys and results; no file, container, socket or protobuf. Read `contract` first
(the words, and what is asked of the world), then `solver` (jobs), `state` and `step` (how a result
is found or decided to be made, as a pure machine), and `edge`, `vertex` and `graph` (who does what
the machine says). docs/solver.md has the tables.
"""
