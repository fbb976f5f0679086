"""Values of buildx's flags, parsed: one module a group of flags, as plain values of a plan."""
