"""The Debug Adapter Protocol, for editors: breakpoints in the Dockerfile, steps, what is where.

An adapter serves one build over standard input and output. Source of what is answered, and of how
a build becomes a program to step through: buildx `dap/`.
"""
