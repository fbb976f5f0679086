"""gRPC: clients (`channel`), servers on any stream of bytes (`server`), how large messages and
headers may be (`limits`), and errors on the wire (`status`, `details`). What the calls are stays
with the packages that make them.

It stands on HTTP/2 of our own (`http2`): gRPC's library serves and dials nothing but sockets, has
threads that no fork survives, and takes a millisecond for each call. What generated code wants of
that library is in `library`.
"""
