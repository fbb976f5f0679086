"""The debug address: metrics, stacks and profiles of the daemon, and its cache keys. Imported only
when there is one."""
