"""The library API: connect, lend a session, solve, follow status."""
