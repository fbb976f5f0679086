"""Software found in a file tree, and an SPDX document of it.

One module a kind of package; `scan` walks the tree once and asks them. What is in a tree comes from
anyone: nothing outside of it is opened, and what is read is bounded. Runs in a worker process.
"""
