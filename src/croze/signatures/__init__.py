"""Who signed it: OpenPGP and SSH signatures, checked in place.

Our own, over `cryptography`'s primitives, and not `gpgv`: the daemon's machine need not have
GnuPG, a signature is judged at the time it was made (BuildKit `util/pgpsign`), and no key touches
the disk.

The packets are read here, too, because the libraries that read them hide what the policy needs.
`pysequoia` 0.1.35 (kept, typed, wheels for 3.8 to 3.15; tried on the signatures of
`tests/signatures`):

- whatever is wrong, it says "no valid signatures found": a signature by nobody we know, a revoked
  or expired key, a weak hash and changed data are one error, where BuildKit has five;
- its policy is Sequoia's and can't be changed: a key that certifies itself with SHA-1 is refused,
  which BuildKit accepts, and no clock can be given for `reject_expired`;
- it verifies data only, not a digest (`VerifySignatureWithDigest`, of which build policies
  make use), and shows no numbers of keys or signatures with which one could do so oneself;
- it does not show what is hashed apart from what is not, critical subpackets, reasons of
  revocations, or the signature by which a subkey consents to be bound.

What would be left for it is the framing of packets, thirty lines of `packets`, for a library of
9 MB. `PGPy` (its fork for Python 3.13 and newer is `PGPym` 0.6.2) shows all of it, but has no
types, takes a quarter of a second to import, and checks neither self-signatures nor revocations.
"""
