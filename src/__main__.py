"""`python -m pymarl WORD ...`, where it is installed, or `python src WORD ...`: the command `pymarl`."""

import sys

from pymarl.cli import main

sys.exit(main())
