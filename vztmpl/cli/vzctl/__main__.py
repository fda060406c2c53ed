"""What conmon runs: ``python -m vztmpl.cli.vzctl``."""

import sys

from vztmpl.cli.vzctl import main

sys.exit(main())
