"""The table of attacks and its proof: ``tools/attacks.toml`` against the source and the tests.

A test that shows an attack to fail bears ``@pytest.mark.sec("SEC-07")``. What is proven here is
that each row names a defence that is in the source and a test that bears its mark; that the test
fails without the defence is what `tests/attack/drill.py` proves.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tools.features import ROOT, Proofs

TABLE: Final = ROOT / "tools" / "attacks.toml"


class Defence(NamedTuple):
    """A place in the source that stops an attack."""

    what: str
    """What and where it is, as Markdown."""
    file: str
    take: str
    """Its text, which stands in `file` exactly once."""
    give: str
    """What to put there instead to have no defence."""
    test: str
    """``file`` or ``file::function`` that fails then."""


class Attack(NamedTuple):
    """A row of the table."""

    id: str
    source: str
    """Who might do it."""
    attack: str
    answer: str
    """What comes of it."""
    defences: Sequence[Defence]
    elsewhere: str
    """Where it is dealt with, if that is no matter of this library."""


def load(path: Path = TABLE) -> list[Attack]:
    """Read the table. Raises ValueError for a row that is not whole."""
    attacks = []
    for id_, row in tomllib.loads(path.read_text(encoding="utf-8")).items():
        defences = [Defence(**each) for each in row.get("defences", [])]
        elsewhere = row.get("elsewhere", "")
        if bool(defences) is bool(elsewhere):
            raise ValueError(f"{path}: {id_} needs defences, or a word where it is dealt with")
        if not all(row[key].endswith(".") for key in ("attack", "answer")):
            raise ValueError(f"{path}: the attack and the answer of {id_} need to be sentences")
        attacks.append(Attack(id_, row["from"], row["attack"], row["answer"], defences, elsewhere))
    return attacks


def problems(attacks: Sequence[Attack], proofs: Proofs) -> list[str]:
    """Return what keeps the table from being true, a line each; `proofs` are of ``sec``."""
    found = []
    for attack in attacks:
        marked = {f"{proof.path}::{proof.name}" for proof in proofs.get(attack.id, ())}
        if not attack.elsewhere and not any(not p.skipped for p in proofs.get(attack.id, ())):
            found.append(f"{attack.id} has no test that runs: {attack.attack}")
        for defence in attack.defences:
            count = (ROOT / defence.file).read_text(encoding="utf-8").count(defence.take)
            if count != 1:
                found.append(
                    f"{attack.id}: {defence.what} stands {count} times in {defence.file}, not once"
                )
            if not any(
                each == defence.test or each.startswith(f"{defence.test}::") for each in marked
            ):
                found.append(f"{attack.id}: {defence.test} bears no mark of it")
    known = {attack.id for attack in attacks}
    return found + [
        f"{id_} is marked in {min(proofs[id_]).path} and is no row of the table"
        for id_ in sorted(proofs.keys() - known)
    ]


_HEAD: Final = """\
# Attacks, and what stops them

*Generated from `tools/attacks.toml` and the marks of the tests by `tools/docs.py attacks`; edit
those. A row whose defence is not in the source, or that has no test, makes `make test` red.*

Each defence was taken out, and its test failed: `python -m tests.attack.drill` does it again for
all of them (`make night PART=attack` too). What each message may do is in
[security-review.md](security-review.md); how to report a hole in [SECURITY.md](../SECURITY.md).
"""


def page(attacks: Sequence[Attack], proofs: Proofs) -> str:
    """Return docs/attacks.md."""
    own = [attack for attack in attacks if not attack.elsewhere]
    count = sum(len(attack.defences) for attack in own)
    tests = {(p.path, p.name) for attack in own for p in proofs.get(attack.id, ())}
    lines = [
        _HEAD,
        f"{len(attacks)} attacks, {len(own)} of them on this library: {count} defences, "
        f"{len(tests)} tests.",
        "",
        "| | from | attack | what comes of it | defences | tests |",
        "|---|---|---|---|---|---|",
    ]
    for attack in attacks:
        defences = "<br>".join(
            f"{each.what} ([{each.file.rpartition('/')[2]}](../{each.file}))"
            for each in attack.defences
        )
        by_file: dict[str, list[str]] = {}
        for proof in sorted(proofs.get(attack.id, ())):
            by_file.setdefault(proof.path, []).append(
                proof.name.removeprefix("test_").replace("_", " ")
            )
        tests_told = "<br>".join(
            f"[{path.removeprefix('tests/')}](../{path}): {'; '.join(names)}"
            for path, names in by_file.items()
        )
        if attack.elsewhere:
            defences = f"elsewhere: {attack.elsewhere}"
        lines.append(
            f"| {attack.id} | {attack.source} | {attack.attack} | {attack.answer} | {defences} | "
            f"{tests_told} |"
        )
    return "\n".join(lines) + "\n"
