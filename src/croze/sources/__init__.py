"""Where bytes come from: image, oci-layout, git, http, local."""
