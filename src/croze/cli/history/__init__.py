"""`croze history`: one module a command, as buildx has them."""
