"""`python -m croze.daemon` is `crozed`."""

import sys

from croze.daemon.main import main

if __name__ == "__main__":
    sys.exit(main())
