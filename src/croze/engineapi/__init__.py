"""Docker Engine's HTTP API over the same store and solver: what clients of a Docker engine ask to
build and to handle images. Names, ids and sizes are views of the store; nothing is kept here. The
daemon opens the socket and says what the API stands on (`services`). Source: Docker Engine API.

`app` has the table of routes; `build`, `images` and `container_routes` are folders, other resources
modules. `containers` are the containers themselves, which know nothing of HTTP. `connections`,
`tls` and `hijack` are below HTTP, `answers`, `lines`, `query`, `filters` and `jsontext` what
requests and answers are made of.
"""
