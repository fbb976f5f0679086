"""The client: connect to a daemon, lend it a session, solve, follow its status.

`flags_*` read buildx's flag grammars, `options` turns build options into a `plan`, `solve` carries
a plan out, `build` does it all. Modules import grpc only where a connection is made.
"""

import os

# grpc's core reports closed connections on standard error, where builds are drawn.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
