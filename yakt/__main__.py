"""`python -m yakt`: the command line."""

import sys

from yakt.cli import main

sys.exit(main())
