"""A running daemon, put together: which implementation stands for which contract.

`engine` is what is there before the daemon answers, `build_services` what builds use; `opening`
opens those afterwards, and `preflight` tells beforehand what would prevent that. The wiring of both
is in `content`, `ops`, `frontends`, `cache_imports` and `exports`. `running` has the builds that
run, `activity` whether there are any.
"""
