"""A process in a container: OCI spec, crun or runc, mounts, network, security, resources, stdio.

`contract` says what is promised, `oci` does it, in one of the `networks`, or with a `proxy` alone,
whose requests are noted in `proxied`. `oci_spec` and `seccomp`
make values from values; `mounts`, `workdir` and `sweep` touch the disk; `process`, `streams` and
`terminal` the running process; `reach` and `inroot` read and write its files from outside;
`host_helper` is a process that outlives the daemon to kill what it left.
"""
