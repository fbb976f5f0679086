"""gRPC as everybody here speaks it: how large messages and headers may be, and errors on the wire,
for both sides of a call. What the calls are stays with the packages that make them."""
