"""Who signed it: OpenPGP and SSH signatures, checked in place.

Our own, over `cryptography`'s primitives, and not `gpgv`: the daemon's machine need not have
GnuPG, a signature is judged at the time it was made (BuildKit `util/pgpsign`), and no key touches
the disk.
"""
