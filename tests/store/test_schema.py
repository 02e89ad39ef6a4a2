from __future__ import annotations

import contextlib
from pathlib import Path

import apsw
import pytest

from settee.errors import CorruptDatabaseError, NewerSchemaError, NotADatabaseError
from settee.store import bases, documents, schema
from settee.store.connection import Reader, open_connection
from tests.store.conftest import FakeClock, Opener


@pytest.fixture
def reader(tmp_path: Path):
    path = tmp_path / "db.sqlite3"
    found = Reader(open_connection(path, writable=True, create=True), path)
    yield found
    found.close()


def _random_bytes(count: int) -> bytes:
    return FakeClock().random_bytes(count)


def _step_2(reader: Reader, _random: object) -> None:
    reader.run("CREATE TABLE two(x)")


def _broken_step(reader: Reader, _random: object) -> None:
    reader.run("CREATE TABLE half(x)")
    raise RuntimeError("the power went out")


def _tables(reader: Reader) -> set[str]:
    return {row[0] for row in reader.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def test_a_new_file_arrives_at_the_newest_version_with_its_record(reader: Reader) -> None:
    assert not schema.check_is_ours(reader)
    schema.set_up_file(reader)
    assert schema.upgrade(reader, _random_bytes) == len(schema.STEPS)
    assert schema.check_is_ours(reader)
    assert schema.stored_version(reader) == len(schema.STEPS)
    assert reader.row("SELECT value FROM meta WHERE name = 'schema'") == (len(schema.STEPS),)
    assert reader.row("PRAGMA journal_mode") == ("wal",)
    assert schema.upgrade(reader, _random_bytes) == 0


@pytest.mark.feature("DB-15")
def test_a_database_one_step_behind_is_brought_up_and_keeps_its_data(reader: Reader) -> None:
    steps = (*schema.STEPS, _step_2)
    schema.upgrade(reader, _random_bytes)
    reader.run("INSERT INTO checkpoints(id, body) VALUES ('a', x'01')")
    before = reader.rows("SELECT * FROM meta WHERE name LIKE '%uuid' ORDER BY name")
    assert schema.upgrade(reader, _random_bytes, steps) == 1
    assert "two" in _tables(reader)
    assert schema.stored_version(reader) == len(steps)
    assert reader.rows("SELECT id FROM checkpoints") == [("a",)]
    assert reader.rows("SELECT * FROM meta WHERE name LIKE '%uuid' ORDER BY name") == before


def test_a_version_1_database_keeps_its_documents_and_can_hold_bases(
    open_store: Opener, directory: Path
) -> None:
    directory.mkdir()
    with contextlib.closing(apsw.Connection(str(directory / "db.sqlite3"))) as connection:
        reader = Reader(connection, directory)
        schema.set_up_file(reader)
        assert schema.upgrade(reader, _random_bytes, schema.STEPS[:1]) == 1
        reader.run(
            "INSERT INTO docs_1(doc, id, seq, flags, tid, history, aka, vector, body) "
            "VALUES (1, 'apples', 1, 0, '1-aa', '', '', '1aa00000000@Revision+Tree+Encoding', '{}')"
        )
        reader.run("UPDATE collections SET last_seq = 1, live_count = 1")
    store = open_store()
    with store.reader() as reader:
        assert schema.stored_version(reader) == len(schema.STEPS)
        stored = documents.get(reader, 1, "apples")
        assert stored is not None
        assert (stored.tid, stored.body) == ("1-aa", b"{}")
        assert bases.read(reader, 1, [("apples", ["1-aa"])]) == [("1-aa", b"{}")]


def test_a_version_0_file_that_bears_our_mark_is_brought_to_the_newest_version(
    open_store: Opener, directory: Path
) -> None:
    directory.mkdir()
    with apsw.Connection(str(directory / "db.sqlite3")) as connection:
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        assert connection.pragma("user_version") == 0
    connection.close()
    store = open_store()
    with store.reader() as reader:
        assert schema.stored_version(reader) == len(schema.STEPS)
    assert len(store.private_uuid) == 16


def test_a_step_that_fails_leaves_the_older_version_whole(reader: Reader) -> None:
    schema.upgrade(reader, _random_bytes)
    with pytest.raises(RuntimeError):
        schema.upgrade(reader, _random_bytes, (*schema.STEPS, _broken_step))
    assert schema.stored_version(reader) == len(schema.STEPS)
    assert "half" not in _tables(reader)
    assert schema.upgrade(reader, _random_bytes, (*schema.STEPS, _step_2)) == 1


@pytest.mark.feature("DB-15")
def test_a_database_of_a_newer_settee_is_refused_and_left_alone(
    open_store: Opener, directory: Path
) -> None:
    open_store().close()
    file = directory / "db.sqlite3"
    connection = apsw.Connection(str(file))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(NewerSchemaError, match="99"):
        open_store()
    assert file.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(
    open_store: Opener, directory: Path
) -> None:
    directory.mkdir()
    file = directory / "db.sqlite3"
    connection = apsw.Connection(str(file))
    connection.execute("CREATE TABLE theirs(x)")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(NotADatabaseError, match="another program"):
        open_store()
    assert file.read_bytes() == before


def test_a_version_without_its_record_is_damage(open_store: Opener, directory: Path) -> None:
    open_store().close()
    connection = apsw.Connection(str(directory / "db.sqlite3"))
    connection.execute("UPDATE meta SET value = 7 WHERE name = 'schema'")
    connection.close()
    with pytest.raises(CorruptDatabaseError, match="record"):
        open_store()


def test_what_a_reader_of_the_file_may_rely_on(reader: Reader) -> None:
    """Other tools read these tables; a change here needs a step and a word in the changelog."""
    schema.upgrade(reader, _random_bytes)
    columns = [row[1] for row in reader.rows("PRAGMA table_info(docs_1)")]
    assert columns == [
        "doc", "id", "seq", "flags", "tid", "history", "aka", "vector", "expires", "body",
    ]  # fmt: skip
    assert _tables(reader) >= {
        "collections", "docs_1", "bases", "remotes", "marks", "checkpoints", "peer_checkpoints",
        "blob_refs", "meta",
    }  # fmt: skip
    assert reader.row("SELECT scope, name FROM collections WHERE key = 1") == (
        "_default",
        "_default",
    )


def test_a_version_that_can_not_be_is_damage_and_runs_no_step(reader: Reader) -> None:
    schema.set_up_file(reader)
    schema.upgrade(reader, _random_bytes)
    reader.run("PRAGMA user_version = -1")
    with pytest.raises(CorruptDatabaseError, match="-1"):
        schema.upgrade(reader, _random_bytes)
