"""Docker Engine's HTTP API over the same store and solver: what clients of a Docker engine ask to
build and to handle images. Names, ids and sizes are views of the store; nothing is kept here. The
daemon opens the socket and says what the API stands on (`contract`). Source: Docker Engine API."""
