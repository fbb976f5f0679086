"""gRPC as everybody here speaks it: how large messages and headers may be, and errors on the wire,
for both sides of a call; and HTTP/2 itself (`http2`) where gRPC's library can't be, or costs too
much. What the calls are stays with the packages that make them."""
