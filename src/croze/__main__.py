"""`python -m croze`: the `croze` command, where it is on no PATH."""

import sys

from croze.cli.thin import main
from croze.version import tell_if_asked

if __name__ == "__main__":
    tell_if_asked(sys.argv)
    sys.exit(main())
