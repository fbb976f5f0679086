"""Text to AST to stages to LLB, plus lint, outline, targets.

Pure: it talks to the world only through the small `Resolver` protocol.

`frontend` is the way in: `options` reads what a client asks for, `contexts` finds the text,
`parser` makes a `syntax_tree` of it (lines by `line_parsers`, words by `shell`), `instructions`
types it, and `convert` turns it into LLB; `lint` and `subrequests` are what else can be asked.
`asking` runs all of it in a worker process.
"""

from typing import Final

LANGUAGE_VERSION: Final = "1.26.0-dev"
"""The version of the Dockerfile frontend that this one is like."""
