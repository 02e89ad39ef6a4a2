from __future__ import annotations

import ast
import inspect
from pathlib import Path

from settee import limits


def test_every_limit_is_a_positive_number_but_the_smallest_integer() -> None:
    for name, value in vars(limits).items():
        if name.isupper():
            assert isinstance(value, int | float), name
            assert value > 0 or name == "INTEGER_MIN", name


def test_names_end_in_their_unit() -> None:
    units = {"BYTES", "S", "MAX", "MIN", "MS", "LEVEL", "ROWS", "DEPTH", "BACKLOG"}
    for name in vars(limits):
        if name.isupper():
            assert name.rpartition("_")[2] in units, name


def test_every_limit_is_used_by_the_code_and_has_a_reason_nearby() -> None:
    source_file = Path(inspect.getfile(limits))
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for path in source_file.parent.rglob("*.py")
        if path != source_file
    )
    unused = [n for n in vars(limits) if n.isupper() and n not in source]
    assert unused == []
    tree = ast.parse(source_file.read_text(encoding="utf-8"))
    explained = sum(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in tree.body
    )
    assert explained > 40


def test_limits_that_depend_on_each_other_agree() -> None:
    assert limits.FRAME_BYTES_MAX <= limits.FRAME_BYTES_RECEIVED_MAX
    assert limits.UNACKED_BYTES_MAX > 2 * limits.ACK_INTERVAL_BYTES
    assert limits.DOCUMENT_BODY_BYTES_MAX < limits.MESSAGE_BODY_BYTES_MAX
    assert limits.HISTORY_NAMES_MAX <= limits.HISTORY_NAMES_RECEIVED_MAX
    assert limits.REVS_UNANSWERED_BYTES_MAX < limits.INBOUND_BYTES_MAX
    assert limits.HANDSHAKE_TLS_S < limits.HANDSHAKE_TOTAL_S
