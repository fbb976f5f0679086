"""A session: services that one client lends to the daemon, both ends of each.

The daemon's end is named for the service (`filesync`, `auth`, `secrets`, …), `manager` accepts
the connections, and calls go through a `tunnel` in each; the client's end is `serve`, and what it
serves is in `providers`. Directories go as packets (`transfer`), of which either end may be
`sending` or `receiving`; on one machine they are lent by handle instead (`hostdir`, `visit`,
`packets`). `dockerconfig` and `logins` are the Docker CLI's credentials.
"""
