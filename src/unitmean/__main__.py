"""`python -m unitmean`."""

import sys

from unitmean.cli import main

sys.exit(main())
