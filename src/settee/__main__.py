"""``python -m settee``: the command line."""

from __future__ import annotations

from settee.cli import main

if __name__ == "__main__":
    main()
