"""`crozed`: wiring, configuration, the gRPC services, lifecycle.

`main` reads the settings (`config`) and takes what it needs of the machine (`host`); `server` opens
the `engine`, where everything is put together, visibly, and listens. `services` answer calls,
`build` is one build from its request to its answer, `worker` the machine as a place where steps
run, `telemetry` what is measured. `debug` is for developers, and there only if asked for. Folders
import one another downwards only (`tests/test_layering.py`).
"""
