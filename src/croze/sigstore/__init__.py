"""Sigstore: who signed an image, a file or a cache, by bundles that prove it.

A bundle holds a signature, the short-lived certificate that says whose it is, and witnesses:
entries of transparency logs and timestamps. All of it is checked against a *trusted root*, the keys
of one Sigstore instance (`roots` says where that comes from). `bundle` and `cosign` read the two
forms in which signatures are stored, `verify` checks them as strictly as sigstore-go, which is what
BuildKit uses; `images` finds and checks what was signed of an image.

Our own, over `cryptography`'s primitives, `rfc3161-client` for timestamps and `tuf` for updates of
the root. `sigstore`, the project's own library for Python, was looked at first: it wants exactly
one log entry, and knows neither keys without certificates nor cosign's older form, both of which
policies on images meet.
"""
