"""The decision core: load, share, match, schedule, cancel.

It knows vertices, keys and results; no file, container, socket or protobuf. Read `contract` first
(the words, and what is asked of the world), then `solver` (jobs), `graph` (what all jobs share),
`vertex` (an op's work, once), `edge` and `inputs` (how a result is found or decided to be made).
"""
