"""Takes each defence out, one after another, and sees its test fail.

``python -m tests.attack.drill``.

Works on a copy. Without words all defences of ``tools/attacks.toml``, else those of the rows named
(``SEC-07 SEC-12``). Prints a line for each; the exit code is 1 if a test passed without the defence
that it is said to guard.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.attacks import Attack, Defence, load
from tools.features import ROOT

COPIED = ("src", "tests", "tools", "docs", "pyproject.toml")


def fails_without(copy: Path, defence: Defence) -> bool:
    """Take a defence out of the copy, run its test there, and put it back."""
    path = copy / defence.file
    whole = path.read_text(encoding="utf-8")
    assert whole.count(defence.take) == 1, defence
    path.write_text(whole.replace(defence.take, defence.give), encoding="utf-8")
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", defence.test],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy / "src")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        path.write_text(whole, encoding="utf-8")
    if ran.returncode not in (0, 1):
        print(ran.stdout[-3000:], ran.stderr[-3000:])
        raise SystemExit(f"the tests of {defence.test} can't run")
    return ran.returncode == 1


def drill(attacks: list[Attack]) -> list[str]:
    """Return the defences without which no test failed."""
    idle = []
    with tempfile.TemporaryDirectory(prefix="settee-drill-") as directory:
        copy = Path(directory)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy(ROOT / name, copy / name)
        for attack in attacks:
            for defence in attack.defences:
                began = time.monotonic()
                seen = fails_without(copy, defence)
                verdict = "its test fails" if seen else "NOTHING FAILS"
                took = time.monotonic() - began
                print(f"{attack.id} without {defence.what}: {verdict} ({took:.1f} s)", flush=True)
                if not seen:
                    idle.append(f"{attack.id}: {defence.what}")
    return idle


def main() -> int:
    """Drill what was asked for; return the exit code."""
    named = set(sys.argv[1:])
    attacks = [attack for attack in load() if not named or attack.id in named]
    idle = drill(attacks)
    count = sum(len(attack.defences) for attack in attacks)
    print(f"{count} defences taken out; without {count - len(idle)} of them their tests fail")
    return 1 if idle else 0


if __name__ == "__main__":
    sys.exit(main())
