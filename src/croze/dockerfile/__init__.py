"""Text to AST to stages to LLB, plus lint, outline, targets.

Pure: it talks to the world only through the small `Resolver` protocol.
"""

from typing import Final

LANGUAGE_VERSION: Final = "1.26.0-dev"
"""The version of the Dockerfile frontend that this one is like."""
