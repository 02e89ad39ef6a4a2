from __future__ import annotations

from settee.doc.records import DELETED, HAS_BLOBS, Applied, ChangeRow, Outcome


def test_outcomes_that_a_peer_is_told_are_http_statuses() -> None:
    told = {outcome for outcome in Outcome if outcome >= 400}
    assert told == {Outcome.REFUSED, Outcome.MALFORMED, Outcome.AHEAD}
    assert (Outcome.REFUSED, Outcome.MALFORMED, Outcome.AHEAD) == (409, 400, 503)


def test_flags_are_separate_bits() -> None:
    assert DELETED & HAS_BLOBS == 0


def test_records_are_tuples_in_the_order_that_is_documented() -> None:
    assert ChangeRow._fields == ("seq", "doc_id", "tid", "flags", "body_bytes", "mark")
    assert tuple(Applied(Outcome.STORED, 1, "1-aa")) == (Outcome.STORED, 1, "1-aa")
