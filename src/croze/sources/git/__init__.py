"""`git://`: a commit's files from a remote repository.

`source` is what is asked; `options` reads what it says, `fetch` brings the commit, `objects` says
which it is and who signed it, `checkout` and `bundle` write its files. `cli` runs the system's git.
"""
