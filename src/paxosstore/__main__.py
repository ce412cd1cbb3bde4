"""`python -m paxosstore` is the program `paxosstore`."""

import sys

from .cli.main import main

sys.exit(main())
