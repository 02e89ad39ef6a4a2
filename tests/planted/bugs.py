"""The planted bugs, and what must find each: the quickest that does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["BUGS", "Bug", "commands"]

_PYTEST: Final = ("pytest", "-q", "-rf", "-p", "no:cacheprovider", "--tb=short")


class Bug(NamedTuple):
    """What finds a bug."""

    command: tuple[str, ...]
    """A module and its arguments; its exit code is 1 if it finds something."""
    shown: tuple[str, ...]
    """Texts that are all in its output if it fails because of this bug."""


def _life(seed: int, invariant: str) -> Bug:
    """A life of a fleet, and the invariant that does not hold in it."""
    shown = (f"sim FAIL seed={seed} ", f" {invariant} ")
    return Bug(("tests.simulation", "--seed", str(seed)), shown)


def _test(test: str, *shown: str) -> Bug:
    """One test, and what its failure says."""
    return Bug((*_PYTEST, f"tests/{test}"), (f"FAILED tests/{test}", *shown))


BUGS: Final[dict[str, Bug]] = {
    "M01": _test(
        "sync/test_puller.py::test_a_revision_is_answered_after_it_is_stored_and_not_before",
        "assert 1 not in {1: Reply(",
    ),
    "M02": _life(3, "I4"),
    "M03": _life(1, "I4"),
    "M04": _test(
        "store/test_blobs.py::test_at_no_point_could_a_power_cut_leave_a_name_without_its_content",
        "At index 0 diff: ('rename', ",
    ),
    "M05": _test(
        "peer/test_effects.py"
        "::test_a_batch_whose_blobs_can_not_be_made_durable_leaves_nothing_behind",
        "a document would name what is not there",
    ),
    "M06": _life(1, "I4"),
    "M07": _test(
        "regressions/test_sync.py::test_after_deltas_a_merge_and_compacting_every_blob_is_there",
        "the document was taken for one without blobs",
    ),
    "M08": _test(
        "sync/test_pusher.py::test_the_rows_come_in_order_in_bounded_messages_and_the_end_is_told",
        "assert 1000 == 1001",
    ),
    "M09": _test(
        "sync/test_pusher_passive.py"
        "::test_what_a_peer_pushed_comes_back_to_it_as_one_row_not_as_all",
        "assert 1500 <= (0.05 * 1500)",
    ),
    "M10": _test(
        "peer/test_active.py::test_after_a_connection_that_worked_the_pauses_begin_anew",
        "assert [] == [True]",
    ),
    "M11": _test(
        "peer/test_active.py::test_retries_wait_twice_as_long_each_time_up_to_the_limit",
        "assert 2 <= 0.0",
    ),
    "M12": _life(5, "I1"),
    "M13": _life(1, "I4"),
    "M14": _life(237, "I4"),
    "M15": _test(
        "store/test_revisions.py::test_what_comes_again_takes_no_new_sequence",
        "assert [('b', 2), ('a', 3)] == [('a', 1), ('b', 2)]",
    ),
    "M16": _test(
        "doc/test_conflict.py"
        "::test_two_3x_edits_at_once_end_in_the_greater_name_without_a_new_version",
        "nothing is to be minted here",
    ),
    "M17": _test("store/test_writer.py::test_times_rise_over_a_restart", "assert 17949"),
    "M18": _life(7, "I1"),
    "M19": _test(
        "blip/test_codec.py::test_a_wrong_checksum_breaks_the_protocol",
        "DID NOT RAISE PeerProtocolError",
    ),
    "M20": _test(
        "blip/test_outbox.py::test_a_message_is_parked_when_its_window_is_full_and_others_go_on",
        "< (128000 + 16384)",
    ),
    "M21": _life(8, "I4"),
    "M22": _life(2, "I5"),
    "M23": _test(
        "sync/test_puller.py::test_malformed_rows_are_refused_and_the_session_goes_on",
        "no reply to changes",
    ),
    "M24": _test(
        "peer/test_active.py::test_a_wall_clock_that_is_put_back_makes_nobody_wait_longer",
        "assert <Activity.BUSY: 'busy'> is <Activity.STOPPED: 'stopped'>",
    ),
    "M25": _test(
        "sync/test_blobs.py"
        "::test_a_blob_of_no_revision_under_way_is_refused_whether_it_is_there_or_not",
        "no error: Reply(",
    ),
}


def commands(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the distinct commands of some bugs; all their tests together are one."""
    wanted = dict.fromkeys(BUGS[name].command for name in names)
    tests = sorted(command[-1] for command in wanted if command[0] == "pytest")
    lives = [command for command in wanted if command[0] != "pytest"]
    return [*lives, *([(*_PYTEST, *tests)] if tests else [])]
