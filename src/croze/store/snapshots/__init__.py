"""Snapshots: filesystem layers on disk, below refs; nothing outside the store knows them.

`contract` says what a snapshotter promises, `overlay` and `native` keep it, over one `table` of the
snapshots there are; `settled` tells which of them a power cut does not take, `trees` is their work
on files, for worker processes.
"""
