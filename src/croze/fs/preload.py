"""What workers that do file work load before the first call."""

import isal.igzip  # noqa: F401 - in which layers are read

import croze.fs.content.checksum
import croze.fs.copy.copy
import croze.fs.sync.local
import croze.fs.tar.archive
import croze.fs.tar.estargz_write
import croze.fs.tar.write
import croze.fs.tree.usage  # noqa: F401
