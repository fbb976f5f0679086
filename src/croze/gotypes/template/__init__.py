"""Go's `text/template` for `--format`: the documented language on plain values.

`render(text, value)` gives the text. What may go in: the lexer, the parser, the evaluator and the
functions that the Docker CLI adds. `define`, `template` and `block` are refused: nobody can name a
second template on a command line.

No kept library does this for Python; what there is evaluates Jinja's or Mustache's languages.
"""

from croze.gotypes.template.evaluate import Fields, Nil, TemplateError, check, render

__all__ = ["Fields", "Nil", "TemplateError", "check", "render"]
