"""`croze imagetools COMMAND`: images in registries and OCI layouts."""
