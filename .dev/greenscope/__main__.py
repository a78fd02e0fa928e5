"""`python -m greenscope`: the command line."""

import sys

from greenscope.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
