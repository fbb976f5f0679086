"""`python -m croze`: the `croze` command, where it is on no PATH."""

import sys

from croze.cli.thin import main

if __name__ == "__main__":
    sys.exit(main())
