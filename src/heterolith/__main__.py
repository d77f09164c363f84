"""``python -m heterolith``: the command line."""

import sys

from heterolith.cli import main

sys.exit(main())
