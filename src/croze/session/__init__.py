"""The session's services, both ends: what a client lends the daemon while it builds."""
