"""What the daemon's process has of the machine it runs on: a user namespace of its own, if it is
not root's (`rootless`), the process that stays outside (`helper`), and addresses (`listen`,
`sockets`)."""
