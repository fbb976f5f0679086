"""Build policies in Rego: which sources a build may use, decided by the client for the daemon.

`documents/` makes the input document of a source from what the daemon knows of it, `decision.py`
finds out what is decided or what must be known first, `rego/` evaluates. All that runs in a worker
process with a limit on its time and memory (`work.py`): a policy may come with a context from
anywhere. What it asks for (files, metadata, verification) is answered in the client's own process
(`evaluator.py`), behind `contract.py`. Source of the rules and words: buildx `policy/`.
"""
