"""Runs a module as ``python -m`` does, if settee would be imported from a certain folder.

``python -m tests.planted.launch FOLDER MODULE [ARGUMENT…]``. A drill that tries the wrong source
would find every planted bug missing, or every test green.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path
from typing import Final

ELSEWHERE: Final = 97
"""The exit code if settee lies elsewhere; no test command has it."""


def main() -> None:
    """Check where settee is, then become the module."""
    folder, module = Path(sys.argv[1]), sys.argv[2]
    found = importlib.util.find_spec("settee")
    if found is None or found.origin is None or not Path(found.origin).is_relative_to(folder):
        print(f"settee is imported from {found and found.origin}, not from {folder}")
        sys.exit(ELSEWHERE)
    sys.argv[1:] = sys.argv[3:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
