"""Rewrite or check the generated files of the overlays."""

import sys

from heterolith.hw.overlay.boards import main

sys.exit(main(sys.argv[1:]))
