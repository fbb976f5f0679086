"""Where bytes come from: images and their blobs, OCI layouts, git, http, local directories."""
