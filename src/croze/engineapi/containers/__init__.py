"""Containers in the small form: a command in an image, with its streams, as `docker run` and checks
like testcontainers' want it. Bind mounts, and the network of builds, of the host, or none."""
