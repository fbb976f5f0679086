"""Policies of sources, on the client's side: `enforce` has them in force while a build runs.

They read `files`, check `signatures`, and ask a daemon about sources (`source_resolver`); what they
say goes to the build's `log`.
"""
