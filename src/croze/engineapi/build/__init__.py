"""Builds that clients of a Docker engine ask for: `routes` takes the request, `query` reads its
parameters, `solving` asks the daemon for it; `classic` and `steps` do and tell it as before
BuildKit.
"""
