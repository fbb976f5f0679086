"""One module a command; parsing, printing, exit codes.

Imports lazily: start-up time is a feature. A command is a module (`build`, `du`, …) or a folder
(`bake`, and those with commands of their own: `history`, `imagetools`, `policy`, `cache_mount`;
`buildctl` is another program), found by `commands`. What they share: `flags`, `common` and `format`
read the words, `daemon`, `builder` and `nodes` say which daemon is meant, `progress` and `table`
print, `guard` makes messages and exit codes of errors. A command starts in `thin`, which hands it
to the user's warm process (`warm`; `surroundings` says whether it may, `early` what it hears before
the end) or to `main`.
"""
