"""Go's `text/template` for `--format`: the documented language on plain values.

`render(text, value)` gives the text, `check(text)` says whether it is one. A text goes through
`lexer` and `parser` (`nodes`, `constants`) to `evaluate`, which has Go's `functions` and those that
the Docker CLI adds. `values` are as Go prints and compares them; those of `times` and `digests`
have methods.

No kept library does this for Python; what there is evaluates Jinja's or Mustache's languages.
"""

from croze.gotypes.template.digests import GoDigest
from croze.gotypes.template.evaluate import Fields, Nil, TemplateError, check, render
from croze.gotypes.template.times import GoDuration, GoTime
from croze.gotypes.template.values import TypedMap

__all__ = [
    "Fields",
    "GoDigest",
    "GoDuration",
    "GoTime",
    "Nil",
    "TemplateError",
    "TypedMap",
    "check",
    "render",
]
