"""HTTP/2 (RFC 9113) as far as gRPC needs it, on any stream of bytes. No I/O: bytes go in and come
out, and what is in the middle of all is a loop over frames, for trees have tens of thousands of
entries of a hundred bytes each."""
