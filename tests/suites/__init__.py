"""BuildKit's own integration suites, with crozed where they look for `buildkitd`."""
