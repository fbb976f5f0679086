"""Text to AST to stages to LLB, plus lint, outline, targets.

Pure: it talks to the world only through the small `Resolver` protocol.
"""
