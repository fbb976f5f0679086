"""OCI distribution client: resolve, fetch, push, auth, mirrors.

`client` is one for the daemon, whose repositories `pull`, `push` and `referrers` work on;
`transport` sends their requests to the `hosts` there are for a name, with what `auth` has to show.
"""
