"""One module an op: exec, file, source, merge, diff, build.

Each says how it is cached (`cache_map`) and does the work (`execute`).
"""
