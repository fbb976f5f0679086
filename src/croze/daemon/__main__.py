"""`python -m croze.daemon` is `crozed`."""

import gc
import sys

gc.disable()  # what is loaded stays; `croze.daemon.engine.opening.settle_memory` turns it on

from croze.daemon.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
