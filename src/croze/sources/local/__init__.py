"""`local://`: directories that clients lend.

`source` is what is asked, `options` reads what it says. A directory comes by a `transfer`, which
may begin before anybody wants it (`prefetch`); those of earlier builds are `kept`, and what comes
is compared with them (`compare`).
"""
