"""What answers calls: one module for each gRPC service, added to the server by `registration`, and
Docker's own API (`docker_api`)."""
