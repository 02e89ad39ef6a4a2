"""``python -m settee_inventory.table``: the demo."""

from __future__ import annotations

import sys

from settee_inventory.table.process import main

if __name__ == "__main__":
    sys.exit(main())
