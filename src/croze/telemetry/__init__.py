"""Spans and metrics: recorded here, and sent to OpenTelemetry collectors if there are any.

A small recorder of our own that keeps OTLP messages, in place of OpenTelemetry's SDK, whose import
alone would double the daemon's start: a build's spans are made from its status log once it is
over, so that nothing is spent while it runs. `send` is the one module that loads gRPC's own
library.
"""

import os

# gRPC's library reads it when it is loaded; else it reports closed connections on standard error.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
