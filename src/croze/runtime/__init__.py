"""A process in a container: OCI spec, crun or runc, mounts, network, security, resources, stdio."""
