"""``python -m settee_inventory``: this device's web app."""

from __future__ import annotations

import sys

from settee_inventory.web.process import main

if __name__ == "__main__":
    sys.exit(main())
