"""gRPC as everybody here speaks it: how large messages and headers may be, on every channel and
server. What the calls are stays with the rooms that make them."""
