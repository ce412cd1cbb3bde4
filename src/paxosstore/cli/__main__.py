"""`python -m paxosstore.cli` is the program `paxosstore`."""

import sys

from .main import main

sys.exit(main())
