"""From a Dockerfile's text to LLB and an image config, for one platform.

The way through: `conversion.convert` parses; `plan` makes the stages and finds out which need
which; `bases` resolves base images and their triggers; `dispatch` walks the instructions (`run`,
`copy`, `workdir`, `expose`, `settings`). `build.PlatformBuild` is what they share,
`stage.StageState` what they work on.
"""

from croze.dockerfile.convert.conversion import (
    Conversion,
    convert,
    convert_lint,
    convert_outline,
)

__all__ = ["Conversion", "convert", "convert_lint", "convert_outline"]
