"""OCI distribution client: resolve, fetch, push, auth, mirrors."""
