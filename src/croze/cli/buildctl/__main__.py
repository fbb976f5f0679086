"""`python -m croze.cli.buildctl`: where there is no link of that name."""

import sys

from croze.cli.buildctl.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
