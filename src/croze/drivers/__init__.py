"""Bring a daemon into being and dial it.

`contract` says what a driver is; each is a module (or `kubernetes`), and `make` chooses. `reach`
finds the daemons that a user's words mean, `multinode` works with all nodes of a builder, `local`
brings up the user's own daemon (`own`). Streams that are no sockets go through a `tunnel`.
"""
