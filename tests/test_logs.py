from __future__ import annotations

import io
import json
import logging
import stat
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

import settee
from settee import (
    BasicAuthenticator,
    BearerAuthenticator,
    Blob,
    ConfigError,
    Database,
    Document,
    HashedUsers,
    ListenerPasswordAuthenticator,
    ReadOnlyError,
    Replicator,
    SessionAuthenticator,
    SetteeError,
    TLSIdentity,
    URLEndpointListener,
    log_to,
)
from settee.logs import RedactingFormatter, peer_log, printable, redacted, room_log


@pytest.fixture(autouse=True)
def settees_logger_is_left_as_it_was() -> Iterator[None]:
    log = logging.getLogger("settee")
    before = log.level, list(log.handlers)
    yield
    assert (log.level, log.handlers) == before


def record(message: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("settee.net", logging.INFO, "x.py", 1, message, values, info)


# --- names and tags -------------------------------------------------------------------------------


@pytest.mark.feature("LOG-02", "LOG-05")
def test_rooms_log_under_settee_and_a_program_without_logging_hears_nothing() -> None:
    assert room_log("store").name == "settee.store"
    handlers = logging.getLogger("settee").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)


def test_sessions_are_told_apart_by_their_tag(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "settee"):
        peer_log("sync", peer="10.0.0.5:4984", session=3).info("started, push=%s", True)
    assert caplog.messages == ["[10.0.0.5:4984/3] started, push=True"]


def test_a_tag_with_a_percent_sign_is_no_format(caplog: pytest.LogCaptureFixture) -> None:
    log = peer_log("sync", peer="fe80::1%4:4984", session=3)
    with caplog.at_level(logging.INFO, "settee"):
        log.info("started, push=%s", True)
        log.warning("100 % done")
        log.debug("not shown")
    assert caplog.messages == [
        "[fe80::1%4:4984/3] started, push=True",
        "[fe80::1%4:4984/3] 100 % done",
    ]
    assert {record.filename for record in caplog.records} == {"test_logs.py"}


@pytest.mark.sec("SEC-38")
@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain", "plain"),
        ("two\nlines", "two\\x0alines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("ü \u202e", "ü \\x202e"),
        ("x" * 300, "x" * 200 + "…"),
    ],
)
def test_a_peers_words_stay_on_one_line(text: str, safe: str) -> None:
    assert printable(text) == safe


# --- redaction ------------------------------------------------------------------------------------


@pytest.mark.sec("SEC-37")
@pytest.mark.feature("LOG-06")
@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Authorization: Basic Ym9iOnBhc3N3b3Jk, more", "Authorization: Basic [redacted], more"),
        ("('Authorization', 'Bearer CANARY-x.y-z')", "('Authorization', 'Bearer [redacted]')"),
        ("sent basic Ym9iOnBhc3N3b3Jk", "sent basic [redacted]"),
        ("wss://bob:CANARY@host:4984/db", "wss://[redacted]@host:4984/db"),
        ("password=CANARY ok", "password=[redacted] ok"),
        ('{"password": "CAN\\"ARY x", "n": 1}', '{"password": [redacted], "n": 1}'),
        ("user_password='CANARY with spaces')", "user_password=[redacted])"),
        ("api_key: CANARY", "api_key: [redacted]"),
        ("Set-Cookie: SyncGatewaySession=CANARY; Path=/", "Set-Cookie: [redacted]"),
        (
            "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\nrest",
            "[redacted]\nrest",
        ),
        ("-----BEGIN EC PRIVATE KEY-----\nCANARY cut o", "[redacted]"),
        # What only looks like it stays.
        ("wss://host:4984/db answers", "wss://host:4984/db answers"),
        ("the listener's password check failed", "the listener's password check failed"),
        ("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"),
        ("mail bob@example.com about it", "mail bob@example.com about it"),
    ],
)
def test_credentials_are_redacted_and_nothing_else(text: str, left: str) -> None:
    assert redacted(text) == left


@pytest.mark.sec("SEC-38")
@pytest.mark.feature("LOG-06")
def test_one_event_is_one_line_whatever_a_peer_writes_into_it() -> None:
    forged = "x\n2030-01-01T00:00:00.000Z ERROR   settee.net: all is lost \x1b[31m"
    line = RedactingFormatter().format(record("refused %s", forged))
    assert "\n" not in line
    assert "\\x0a2030" in line
    assert "\x1b" not in line


@pytest.mark.sec("SEC-37")
def test_a_traceback_can_not_pass_for_an_event_and_is_redacted() -> None:
    try:
        raise ValueError("password=CANARY\n2030-01-01T00:00:00.000Z ERROR   settee.net: forged")
    except ValueError as exc:
        text = RedactingFormatter().format(record("callback\nfailed", error=exc))
    first, *rest = text.split("\n")
    assert first.endswith("settee.net: callback\\x0afailed")
    assert rest
    assert all(each.startswith("  | ") for each in rest)
    assert "CANARY" not in text


# --- sinks ----------------------------------------------------------------------------------------


@pytest.mark.feature("LOG-01", "LOG-04")
@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["d", "i", "w", "e"]),
        ("info", ["i", "w", "e"]),
        ("warning", ["w", "e"]),
        ("error", ["e"]),
    ],
)
def test_a_console_shows_its_level_and_above(level: str, heard: list[str]) -> None:
    stream = io.StringIO()
    with log_to(stream, level=level):
        log = room_log("db")
        log.debug("d")
        log.info("i")
        log.warning("w")
        log.error("e")
    room_log("db").error("after its end")
    assert [line[-1] for line in stream.getvalue().splitlines()] == heard


@pytest.mark.feature("LOG-01")
def test_without_a_target_it_is_standard_error_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    with log_to():
        room_log("net").info("hello")
    error = capsys.readouterr().err
    assert error.endswith("Z INFO    settee.net: hello\n")
    assert error[:11].endswith("T")


@pytest.mark.feature("LOG-05")
def test_a_sink_can_be_for_some_rooms_only() -> None:
    stream = io.StringIO()
    with log_to(stream, rooms=["peer", "store", "peer"]):
        for room in ("peer", "store", "net"):
            room_log(room).info(room)
    assert [line.rpartition(" ")[2] for line in stream.getvalue().splitlines()] == ["peer", "store"]


def test_two_sinks_each_get_their_level_and_end_in_any_order() -> None:
    one, two = io.StringIO(), io.StringIO()
    first = log_to(one, level="error")
    second = log_to(two, level="debug")
    room_log("db").debug("fine")
    first.close()
    first.close()
    room_log("db").debug("finer")
    second.close()
    assert one.getvalue() == ""
    assert len(two.getvalue().splitlines()) == 2


def test_a_level_that_the_program_set_comes_back() -> None:
    log = logging.getLogger("settee.store")
    log.setLevel(logging.ERROR)
    try:
        with log_to(io.StringIO(), level="debug", rooms=["store"]):
            assert log.level == logging.DEBUG
        assert log.level == logging.ERROR
    finally:
        log.setLevel(logging.NOTSET)


@pytest.mark.feature("LOG-03")
def test_a_file_rotates_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "settee.log"
    with log_to(path, file_bytes=500, files_kept=2):
        for n in range(50):
            room_log("db").info("event %d", n)
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["settee.log", "settee.log.1", "settee.log.2"]
    for each in tmp_path.iterdir():
        assert each.stat().st_size <= 500
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
    assert path.read_text().endswith("event 49\n")
    with log_to(path):
        room_log("db").info("again")
    assert "event 49" in path.read_text()


def test_a_log_that_can_not_be_written_does_not_shout(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stream = (tmp_path / "log").open("w")
    with log_to(stream):
        stream.close()
        room_log("db").info("password is CANARY")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"level": "loud"}, "level"),
        ({"level": 10}, "level"),
        ({"rooms": "db"}, "rooms"),
        ({"rooms": ["attic"]}, "rooms"),
        ({"file_bytes": 0}, "file_bytes"),
        ({"files_kept": "3"}, "files_kept"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        log_to(io.StringIO(), **options)  # type: ignore[arg-type]


def test_a_file_that_can_not_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(ReadOnlyError, match="can't be written"):
        log_to(tmp_path / "nowhere" / "log")


# --- twelve canaries ------------------------------------------------------------------------------

CANARIES = {
    name: f"CANARY-{name}-7Qx"
    for name in (
        "password", "wrong-password", "listener-password", "hashed-password", "body-value",
        "body-key", "blob-content", "url-userinfo", "callback-argument", "bearer-token",
        "conflict-value", "session-id",
    )
}  # fmt: skip


class Everything:
    """What can be seen from outside: log, reprs, texts of errors and their tracebacks."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.errors = 0

    def show(self, *things: object) -> None:
        self.seen += [text for each in things for text in (repr(each), str(each))]

    def fails(self, call: object, *arguments: object) -> None:
        try:
            call(*arguments)  # type: ignore[operator]
        except SetteeError as exc:
            self.errors += 1
            self.show(exc)
            self.seen += traceback.format_exception(exc)
        else:
            raise AssertionError(f"{call} was to fail")


def use_the_database(seen: Everything, db: Database) -> None:
    items = db.collection("shop.items", create=True)
    secret = CANARIES["body-value"]
    body = {"password": secret, CANARIES["body-key"]: 1, "Authorization": "Basic " + secret}
    items["a"] = body
    saved = items["a"]
    blob = Blob.from_bytes(CANARIES["blob-content"].encode(), "text/plain")
    items["b"] = {"image": blob, "header": CANARIES["bearer-token"]}
    seen.show(db, items, saved, blob, items["b"]["image"], items.get("b"), db.transaction())
    stale = items["a"]
    items["a"] = {"v": CANARIES["conflict-value"]}
    seen.fails(lambda: items.save(stale, "fail"))
    seen.fails(lambda: items.put("c", {"v": {1, CANARIES["body-value"]}}))
    seen.fails(lambda: items.put("c", {"_x": CANARIES["body-value"]}))
    seen.fails(lambda: items.put("c", {"x": [CANARIES["body-value"], float("nan")]}))
    seen.fails(lambda: items.save_many([("c", {"x": CANARIES["body-value"], "y": object()})]))
    seen.fails(Document.from_json, json.dumps({"x": CANARIES["body-value"]})[:-1])
    seen.fails(Document.from_json, '{"x": "' + CANARIES["body-value"] + '", "x": 1}')
    items.save_many([(f"m{n}", {"v": CANARIES["session-id"]}) for n in range(3)])
    with items.changes(since=0) as changes:
        seen.show(next(changes))
    seen.show(*db.check())
    db.compact()


def sync(seen: Everything, db: Database, other: Database, directory: Path) -> None:
    users = HashedUsers()
    users.add("ann", CANARIES["hashed-password"])
    good = CANARIES["password"]

    def check(user: str, password: str) -> bool:
        if user == "broken":
            raise RuntimeError("the check broke")
        return (user, password) == ("bob", good) or users.check(user, password)

    identity = TLSIdentity.self_signed("canary", directory=directory)
    listener = URLEndpointListener(
        db,
        host="127.0.0.1",
        tls_identity=identity,
        authenticator=ListenerPasswordAuthenticator(check),
    )
    with listener:
        url, pin = listener.urls[0], identity.fingerprint
        for wrong in (
            BasicAuthenticator("bob", CANARIES["wrong-password"]),
            BasicAuthenticator("broken", CANARIES["listener-password"]),
            SessionAuthenticator(CANARIES["session-id"]),
            BearerAuthenticator(CANARIES["bearer-token"]),
        ):
            seen.show(wrong)
            seen.fails(
                lambda wrong=wrong: other.replicate(
                    url, authenticator=wrong, pinned_server_certificate=pin, max_attempts=1
                )
            )
        for user, password in (("bob", good), ("ann", CANARIES["hashed-password"])):
            right = BasicAuthenticator(user, password)
            result = other.replicate(url, authenticator=right, pinned_server_certificate=pin)
            seen.show(right, result)
        seen.fails(
            lambda: Replicator(
                other, url.replace("wss://", f"wss://bob:{CANARIES['url-userinfo']}@")
            )
        )
        seen.show(listener, identity, users, *listener.connections)
        seen.show(listener.status, users)


@pytest.mark.sec("SEC-37")
@pytest.mark.feature("LOG-06")
def test_twelve_canaries_are_in_no_log_no_repr_and_no_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Everything()
    raw = io.StringIO()
    plain = logging.StreamHandler(raw)  # Without redaction: settee itself must be careful.
    log = logging.getLogger("settee")
    log.addHandler(plain)
    try:
        with (
            log_to(tmp_path / "log", level="debug"),
            Database("one", directory=tmp_path) as one,
            Database("two", directory=tmp_path) as two,
        ):
            two.collection("shop.items", create=True)
            use_the_database(seen, one)

            def callback(change: object, secret: str = CANARIES["callback-argument"]) -> None:
                raise RuntimeError("a callback of the application")

            with two.on_change(callback):
                sync(seen, one, two, tmp_path)
            seen.show(one, two)
    finally:
        log.removeHandler(plain)
    assert seen.errors >= 8
    text = "\n".join([*seen.seen, raw.getvalue(), (tmp_path / "log").read_text(), caplog.text])
    assert "session started" in text
    assert "a callback of the application" in text
    assert "the check broke" in text
    assert len(CANARIES) == 12
    found = [name for name, canary in CANARIES.items() if canary in text]
    assert found == []


def test_the_canaries_would_be_found() -> None:
    seen = Everything()
    seen.show({"x": CANARIES["body-value"]})
    assert CANARIES["body-value"] in "\n".join(seen.seen)


def test_the_helper_is_public() -> None:
    assert settee.log_to is log_to
    assert sys.modules["settee"].RedactingFormatter is RedactingFormatter
