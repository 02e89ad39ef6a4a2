"""The tutorial's programs do what its pages say, with real sockets on loopback."""

from __future__ import annotations

import contextlib
import json
import queue
import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from settee import Database, Replicator, SyncError, TLSIdentity, URLEndpointListener, UsageError
from tools import recordings
from tools.docs import ROOT

TUTORIAL = ROOT / "examples" / "tutorial"
PAGES = ROOT / "docs" / "tutorial"
sys.path.insert(0, str(TUTORIAL))
import active  # noqa: E402
import inventory  # noqa: E402
import passive  # noqa: E402


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The allow-list, made once: hashing takes its time on purpose."""
    path = tmp_path_factory.mktemp("users") / "users.json"
    passive.allow_list(path)
    return path


class Table(NamedTuple):
    """Alice's device, which listens, and Bob's."""

    alice: Database
    bob: Database
    listener: URLEndpointListener

    def replicator(self, user: str = "bob", password: str = "password") -> Replicator:
        assert self.listener.tls_identity is not None
        validation = active.pinned(self.listener.tls_identity.fingerprint)
        url = self.listener.urls[0]
        replicator: Replicator = active.make_replicator(self.bob, url, user, password, **validation)
        return replicator


@pytest.fixture
def table(tmp_path: Path, users: Path) -> Iterator[Table]:
    shutil.copy(users, tmp_path)
    with (
        inventory.open_inventory("alice", tmp_path) as alice,
        inventory.open_inventory("bob", tmp_path) as bob,
    ):
        listener = passive.make_listener(alice, tmp_path, host="127.0.0.1")
        assert passive.start(listener)
        yield Table(alice, bob, listener)


# --- the data -------------------------------------------------------------------------------------


def test_a_database_is_filled_the_first_time_only(tmp_path: Path) -> None:
    with inventory.open_inventory("alice", tmp_path) as db:
        items = db.collection(inventory.ITEMS)
        assert len(items) == 6
        del items["item::corn"]
    with inventory.open_inventory("alice", tmp_path) as db:
        assert len(db.collection(inventory.ITEMS)) == 5
    assert Database.exists("alice", tmp_path)


def test_a_user_name_leads_out_of_no_folder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("../eve", "a/b", "..", ""):
        with pytest.raises(UsageError):
            inventory.open_inventory(name, tmp_path / "inner")
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]


def test_the_document_that_the_page_shows_is_the_one_that_is_stored(tmp_path: Path) -> None:
    (shown,) = re.findall(
        r"^```json\n(.*?)^```", (PAGES / "index.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    with inventory.open_inventory("alice", tmp_path) as db:
        assert json.loads(shown) == db.collection(inventory.ITEMS)["item::apples"].to_dict()


def test_all_items_fit_into_the_one_document_of_the_original(tmp_path: Path) -> None:
    with inventory.open_inventory("alice", tmp_path) as db:
        inventory.save_as_list(db)
        lines = db.default_collection["doc::list"].at("items")
        assert [line["key"] for line in lines][:2] == ["Apples", "Beets"]
        assert lines[0]["image"].content_type == "image/png"


def test_what_is_there_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with inventory.open_inventory("alice", tmp_path) as db:
        inventory.show(db.collection(inventory.ITEMS))
    assert capsys.readouterr().out.splitlines()[0].split()[:2] == ["Apples", "10"]


def test_the_quick_start_prints_what_its_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "quickstart.md").read_text("utf-8")
    (promised,) = re.findall(r"It prints:\n\n```text\n(.*?)```", page, re.DOTALL)
    runpy.run_path(str(TUTORIAL / "quickstart.py"), run_name="__main__")
    assert capsys.readouterr().out == promised
    source = (TUTORIAL / "quickstart.py").read_text("utf-8")
    (code,) = re.findall(r"\[start:all\]\n(.*?)# --8<-- \[end:all\]", source, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20


# --- the two peers --------------------------------------------------------------------------------


def waiting_for(db: Database, id: str) -> queue.SimpleQueue[Any]:
    changes: queue.SimpleQueue[Any] = queue.SimpleQueue()
    db.collection(inventory.ITEMS).on_document_change(id, changes.put)
    return changes


def test_an_edit_and_a_picture_appear_on_the_other_side(table: Table) -> None:
    replicator = table.replicator()
    assert active.connect(replicator)
    here, there = (db.collection(inventory.ITEMS) for db in (table.alice, table.bob))
    arrived = waiting_for(table.alice, "item::corn")
    inventory.set_quantity(there, "item::corn", 12)
    arrived.get(timeout=10)
    assert here["item::corn"]["quantity"] == 12

    arrived = waiting_for(table.bob, "item::apples")
    inventory.set_picture(here, "item::apples", "edits/apples")
    arrived.get(timeout=10)
    assert there["item::apples"]["image"] == inventory.picture("edits/apples")
    replicator.stop()


def test_what_becomes_different_is_printed_whoever_did_it(
    table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    items = table.alice.collection(inventory.ITEMS)
    with inventory.watch(items):
        done = waiting_for(table.alice, "item::corn")
        items.save(items["item::apples"])  # Nothing is different.
        for quantity in (12, 13):  # Callbacks come in order: the first is through at the second.
            inventory.set_quantity(items, "item::corn", quantity)
            done.get(timeout=10)
    shown = capsys.readouterr().out
    assert "item::corn: 12, picture " in shown
    assert "item::apples" not in shown


def test_who_is_connected_and_who_was_refused_is_shown(
    table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    replicator = table.replicator()
    assert active.connect(replicator)
    assert not active.connect(table.replicator("eve"))
    capsys.readouterr()
    passive.show_connections(table.listener)
    shown = capsys.readouterr().out
    assert shown.startswith("1 connected, ")
    assert "bob from 127.0.0.1: sent " in shown
    assert "refused 127.0.0.1: wrong user name or password (user eve)" in shown
    replicator.stop()


def test_stopping_asks_only_if_somebody_would_be_disconnected(table: Table) -> None:
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "y" if len(asked) > 1 else "n"

    replicator = table.replicator()
    assert active.connect(replicator)
    assert not passive.stop(table.listener, answer)
    assert table.listener.status.running
    assert passive.stop(table.listener, answer)
    assert not table.listener.status.running
    assert asked == ["bob would be disconnected. Stop? [y/N] "] * 2
    assert replicator.wait_for("offline", timeout=10)  # It comes back when the listener does.
    replicator.stop()
    table.listener.start()
    assert passive.stop(table.listener, answer)
    assert len(asked) == 2


def test_a_port_that_is_taken_is_told(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    with Database("other") as db:
        taken = passive.make_listener(db, Path(), host="127.0.0.1", port=table.listener.port)
        assert not passive.start(taken)
    assert "Not listening: port: " in capsys.readouterr().out


def test_a_wrong_user_is_told(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert not active.connect(table.replicator("eve"))
    assert "does not accept these credentials: wrong user name or password" in (
        capsys.readouterr().out
    )


def test_peers_are_disconnected_reconnected_and_removed(
    table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    peers, replicator = active.Peers(), table.replicator()
    assert peers.add("alice", replicator)
    peers.disconnect("alice")
    assert replicator.status.activity.value == "stopped"
    inventory.set_quantity(table.bob.collection(inventory.ITEMS), "item::corn", 3)
    assert peers.reconnect("alice")
    assert table.alice.collection(inventory.ITEMS)["item::corn"]["quantity"] == 3
    peers.remove("alice")
    assert replicator.status.activity.value == "stopped"


@pytest.mark.slow
def test_a_listener_that_advertises_is_found(table: Table) -> None:
    """DNS-SD asks for a second whether a name is free."""
    found = passive.make_listener(
        table.alice,
        Path(),
        host="127.0.0.1",
        advertise="Kitchen",
        discovery_interfaces=["127.0.0.1"],
    )
    passive.stop(table.listener)
    with found:
        peer = active.find("Kitchen", timeout=20, interfaces=["127.0.0.1"])
        assert peer is not None
        assert found.tls_identity is not None
        told = f"Kitchen: {found.urls[0]}, certificate {found.tls_identity.fingerprint[:16]}…"
        assert active.describe(peer) == told
        validation = active.pinned(found.tls_identity.fingerprint)
        replicator = active.make_replicator(table.bob, peer, "bob", "password", **validation)
        assert active.connect(replicator)
        replicator.stop()


# --- the TLS modes --------------------------------------------------------------------------------


def cells() -> list[tuple[str, str, str]]:
    """Return listener, way to validate, and what the page says of it."""
    text = (PAGES / "active.md").read_text("utf-8").partition("## Which modes fit")[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    head, _, *rows = rows[: rows.index(next(r for r in rows if "authority" in r[0])) + 1]
    return [
        (row[0], way, row[number] if row[number] != "the same" else row[1])
        for row in rows
        for number, way in enumerate(head[1:], start=1)
    ]


def identity_of(listener: str, folder: Path) -> TLSIdentity | None:
    """Return what a peer would pin; None where there is no one certificate."""
    if "authority" in listener:
        return SIGNED
    if "bundled" in listener:
        return TLSIdentity.from_pkcs12(folder / "listener.p12", "couchbase")
    if "generated" in listener:
        return TLSIdentity.load("tutorial", folder / "keys")
    return None


AUTHORITY = TLSIdentity.create("The authority", authority=True)
SIGNED = TLSIdentity.create("kitchen", issuer=AUTHORITY, hosts=["127.0.0.1"])


@contextlib.contextmanager
def listening(listener: str, db: Database, folder: Path) -> Iterator[str]:
    if "authority" in listener:
        made = URLEndpointListener(
            db, host="127.0.0.1", path="userdb", tls_identity=SIGNED, allow_anonymous=True
        )
    else:
        mode = listener.split(",")[0]
        options = passive.TLS_MODES[mode](folder)
        made = URLEndpointListener(
            db, host="127.0.0.1", path="userdb", allow_anonymous=True, **options
        )
    with made:
        url = made.urls[0]
        yield url.replace("ws://", "wss://") if "`wss://`" in listener else url


@pytest.mark.parametrize(("listener", "way", "says"), cells())
def test_the_modes_fit_as_the_page_says(listener: str, way: str, says: str, tmp_path: Path) -> None:
    bundle = TLSIdentity.create("com.example.list-sync-server").to_pkcs12("couchbase")
    (tmp_path / "listener.p12").write_bytes(bundle)
    (tmp_path / "roots.pem").write_bytes(AUTHORITY.certificate_pem)
    with (
        Database("alice", directory=tmp_path) as alice,
        Database("bob", directory=tmp_path) as bob,
        listening(listener, alice, tmp_path) as url,
    ):
        pinned = identity_of(listener, tmp_path) or TLSIdentity.anonymous()
        validation = {
            "skip": active.skip(),
            "authorities": active.authorities(tmp_path / "roots.pem"),
            "pinned": active.pinned(pinned.fingerprint),
        }[way]
        if says.startswith("works"):
            warns = says.partition("warns: ")[2]
            with pytest.warns(match=warns) if warns else contextlib.nullcontext():
                bob.replicate(url, max_attempts=1, **validation)
            return
        refusal = re.fullmatch(r"`(\w+)`: (.+)", says)
        assert refusal is not None
        with pytest.raises(SyncError, match=refusal[2]) as caught:
            bob.replicate(url, max_attempts=1, **validation)
        assert type(caught.value).__name__ == refusal[1]


def test_a_bundle_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "listener.p12").write_bytes(b"no bundle")
    with pytest.raises(SystemExit, match="can't be read, or the password is wrong"):
        passive.bundled(tmp_path)


def test_the_smallest_listener_starts(tmp_path: Path) -> None:
    with Database("x", directory=tmp_path) as db:
        assert isinstance(passive.minimal_listener(db), URLEndpointListener)


def test_users_are_kept_without_their_passwords(users: Path) -> None:
    table = passive.allow_list(users)
    assert table.check("bob", "password")
    assert not table.check("eve", "password")
    assert '"password"' not in users.read_text("utf-8")


# --- as programs ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("scene", recordings.SCENES)
def test_two_terminals_show_what_the_recording_shows(scene: str) -> None:
    """Starts the programs, which takes seconds."""
    there = (recordings.RECORDINGS / f"{scene}.svg").read_text("utf-8")
    assert recordings.words_of(recordings.record(scene)) == recordings.words_of(there)


def test_what_differs_from_run_to_run_is_not_in_a_recording() -> None:
    line = f"wss://127.0.0.1:40123/x {'ab' * 32} 2-ff{'0' * 48} 12:34:56 in 0.03 s, 1 busy  "
    assert recordings.steady(line) == (
        f"wss://192.168.1.5:4984/x {recordings.FINGERPRINT} 2-ff18eb7f… 09:30:00 in 0.1 s, 0 busy"
    )


def test_a_picture_of_a_terminal_fetches_nothing_and_can_be_read_back() -> None:
    screen = recordings.Screen("x", Path())
    screen.typed("settee ls <db>")
    screen.showed("a  b\n\nc")
    svg = recordings.picture("x", [screen])
    assert recordings.words_of(svg) == ["$ settee ls <db>", "a  b", "", "c"]
    assert "url(http" not in svg
