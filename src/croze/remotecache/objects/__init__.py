"""Caches in object storage: Amazon S3, Azure blobs, GitHub's Actions cache.

A layer is an object named by its digest, and the cache config, with what is to be known of each
layer, an object with a name of the user's. `contract` says what a storage can do; `transfer` sends
requests.

Their few requests (a dozen in all) are our own, over the daemon's one HTTP client. What was looked
at instead: *obstore* (small, typed, kept) has no way to name an object as BuildKit may (it refuses
`a//b` and takes the slash from `/a`), nor to renew an object's time by copying it onto itself,
which S3 wants the metadata replaced for. *aiobotocore* is untyped, brings 34 MB, and needs a second
and 35 MB of memory before its first request; *azure-storage-blob* a second too, and 15 packages.
Both would bring HTTP clients with rules of their own for redirects, proxies and retries. What is
hard to get right, and changes, is whose credentials to take: that is left to the vendors' libraries
(`croze.clouds`).
"""
