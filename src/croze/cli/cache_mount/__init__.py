"""`croze cache-mount`: one module a command. Cache mounts are Croze's own to show and move."""
