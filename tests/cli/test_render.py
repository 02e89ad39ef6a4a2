"""What is shown, and that nobody's text can steer the terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.cli.render import (
    SyncView,
    TransferView,
    bytes_text,
    counts_text,
    json_text,
    line,
    lines,
    problem,
    safe,
    table,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_951, "10 kB"),
        (290_459, "290 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (2_100_000_000, "2.1 GB"),
        (5e15, "5000 TB"),
    ],
)
def test_bytes_are_told_for_a_person(count, text):
    assert bytes_text(count) == text


@pytest.mark.sec("SEC-38")
def test_lines_and_problems_carry_no_control_characters(capsys):
    line("id\x1b[31m\n\u202egnp")
    problem("bad\r\x07")
    said = capsys.readouterr()
    assert said.out == "id\\x1b[31m\\x0a\\x202egnp\n"
    assert said.err == "settee: bad\\x0d\\x07\n"


@pytest.mark.sec("SEC-38")
@settings(max_examples=50)
@given(st.text())
def test_safe_text_is_printable_whatever_comes(text):
    assert safe(text).isprintable()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.sec("SEC-38")
@settings(max_examples=50)
@given(_json, st.booleans())
def test_json_text_is_the_same_value_and_safe_to_print(value, pretty):
    text = json_text(value, pretty=pretty)
    assert json.loads(text) == value
    assert text.replace("\n", "").isprintable()
    assert pretty or "\n" not in text


def test_json_text_keeps_letters_as_they_are():
    assert json_text({"name": "Möhren 🥕"}) == '{"name":"Möhren 🥕"}'


def test_a_table_in_a_pipe_is_never_cut(capsys):
    long_id = "item::" + "x" * 300
    table(["ID", "Size>"], [(long_id, "1.0 kB"), ("b", "12 B")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == [long_id, "1.0", "kB"]
    assert len({len(each.rstrip()) for each in lines}) == 1, "the right edge of sizes is one line"


def test_a_narrow_terminal_cuts_the_last_column_and_no_number(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    table(["ID", "Sequence>", "Revision"], [("item::apples", 123_456_789, "3-" + "ab" * 30)])
    row = capsys.readouterr().out.splitlines()[1]
    assert "item::apples" in row
    assert "123456789" in row
    assert row.rstrip().endswith("…")
    assert len(row) <= 50


@pytest.mark.sec("SEC-38")
def test_a_table_takes_rich_s_markup_as_text(capsys):
    table(["ID"], [("[red]apples[/red]",)])
    assert "[red]apples[/red]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("documents", "total", "rate", "text"),
    [
        (0, 0, 0.0, "0 documents · 5.0 kB"),
        (1, 1, 1.0, "1 document · 5.0 kB · 1/s"),
        (1200, 5000, 8000.4, "1,200 of 5,000 documents · 5.0 kB · 8,000/s"),
    ],
)
def test_counts_are_told_in_words(documents, total, rate, text):
    assert counts_text(documents, total, 5000, rate) == text


def test_the_rate_is_that_of_the_time_spent_busy():
    view = SyncView("wss://kitchen")
    told = {"documents_total": 0, "bytes_done": 0}
    view.show("busy", documents=100, elapsed_s=10.0, **told)
    assert view._rate(300, 12.0) == 100.0
    view.show("idle", documents=300, elapsed_s=12.0, **told)
    assert view._rate(300, 50.0) == 0.0


def test_without_a_terminal_each_new_state_is_one_line(capsys):
    with SyncView("wss://kitchen/inventory") as view:
        for activity, reason in [
            ("connecting", ""),
            ("busy", ""),
            ("busy", ""),
            ("offline", "gone"),
        ]:
            view.show(
                activity,
                documents=1,
                documents_total=2,
                bytes_done=3,
                elapsed_s=1.0,
                reason=reason,
            )
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "wss://kitchen/inventory  connecting",
        "wss://kitchen/inventory  busy",
        "wss://kitchen/inventory  offline: gone",
    ]


def test_a_quiet_view_says_nothing(capsys):
    with SyncView("wss://kitchen", quiet=True) as view:
        view.show("busy", documents=1, documents_total=2, bytes_done=3, elapsed_s=1.0)
    assert capsys.readouterr() == ("", "")


def test_many_lines_are_printed_safely_and_all(capsys):
    lines(f"{n}\x1b" for n in range(2500))
    said = capsys.readouterr().out.splitlines()
    assert (len(said), said[0], said[-1]) == (2500, "0\\x1b", "2499\\x1b")


def test_a_table_of_nothing_has_its_headings(capsys):
    table(["ID", "Size>"], [])
    assert capsys.readouterr().out.split() == ["ID", "Size"]


def test_the_headings_of_a_long_table_come_once(capsys):
    table(["ID", "N>"], ((f"item {n}", n) for n in range(2500)))
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2501
    assert said[0].split() == ["ID", "N"]
    assert said[1] == "item 0      0"


def test_wide_signs_take_two_cells(capsys):
    table(["ID", "N>"], [("🥕🥕", 1), ("abcd", 22)])
    assert capsys.readouterr().out.splitlines()[1:] == ["🥕🥕   1", "abcd  22"]


def test_a_transfer_without_a_terminal_shows_nothing(capsys):
    with TransferView("importing") as view:
        view.show(documents=1, bytes_done=2, elapsed_s=0.0)
    assert capsys.readouterr() == ("", "")


def test_a_transfer_on_a_terminal_shows_documents_bytes_and_rate(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with TransferView("importing") as view:
        view.show(documents=1200, bytes_done=2_400_000, elapsed_s=2.0, share=0.5)
        task = view._progress.tasks[0]
        assert (task.completed, task.total) == (0.5, 1.0)
        assert task.fields["counts"] == "1,200 documents · 2.4 MB · 600/s"
