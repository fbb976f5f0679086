"""What workers that do file work load before the first call."""

import croze.fs.archive
import croze.fs.checksum
import croze.fs.copy
import croze.fs.sync
import croze.fs.tar
import croze.fs.usage  # noqa: F401
