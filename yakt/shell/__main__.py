"""`python -m yakt.shell`, which tools/yakt-shell runs."""

import sys

from yakt.shell.command import main

sys.exit(main())
