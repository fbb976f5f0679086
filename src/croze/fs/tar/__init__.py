"""Tar archives and layer blobs: headers, reading, writing, compression, extraction.

Our own, and not `tarfile`: the bytes of a layer are part of its digest, so headers must be Go's to
the letter, and are not the same in all versions of Python; and archives come from strangers, of
which `tarfile` reads headers of any length, and extracts by paths instead of open directories."""
