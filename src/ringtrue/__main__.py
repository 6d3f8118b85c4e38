"""`python -m ringtrue` -> the command line."""

import sys

from ringtrue.cli import main

sys.exit(main())
