"""One module an op: exec, file, source, merge, diff, build, passthrough.

Each says how it is cached (`cache_map`) and does the work (`execute`). `load` makes vertices of a
definition (`validate` refuses what is none), `resolver` gives a vertex its op, `services` is what
the daemon wires for all of them, `results` what they make. Cache keys are in `exec_keys` and
`file_keys`, on `content` and `gotypes.messages`. An exec has its mounts by `exec_mounts`
(`secrets`, `ssh`, cache mounts as they are `carried`), its `limits` and its `logs`; a file op is
planned (`file_plan`, `file_actions`) and done by a worker process (`file_steps`).
"""
