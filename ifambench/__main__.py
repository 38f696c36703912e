"""`python -m ifambench` is the same as `ifambench`."""

import sys

from ifambench.cli import main

if __name__ == "__main__":
    sys.exit(main())
