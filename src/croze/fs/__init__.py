"""File-tree algorithms over paths: walk, match, copy, checksum, diff, tar in, tar out, compress.
Plain functions of plain values that can be pickled: `workers.pool.WorkerPool` runs them in worker
processes.

Paths are `str`, with bytes that are not UTF-8 as surrogate escapes, as `os.fsdecode` has them.
Roots are host paths, and may be `/proc/self/fd/N`. Times are in nanoseconds, and -1 leaves what
there is; `mode` is the Unix `st_mode` unless it is called `go_mode`.

Each package below imports only those before it: `match`, `tree`, `tar`, `content`, `copy`, `sync`,
`bundle`. What all of them use is here: `entry`, `paths`, `root`, `owner`, `failures`, `filecopy`,
`remove`, `beneath`, `mount`, `userns`.
"""
