"""`python -m fettle` is the command `fettle`."""

import sys

from fettle.cli.main import main

sys.exit(main())
