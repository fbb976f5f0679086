"""The input document of a source: what is known of it, and the names of what isn't."""
