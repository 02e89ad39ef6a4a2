"""Secret files: whole or not at all, ours only, and one name per label."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.errors import ConfigError, NotFoundError, StoreError
from settee.identity import vault
from settee.limits import LABEL_CHARACTERS_MAX, SECRET_FILE_BYTES_MAX

posix_only = pytest.mark.skipif(os.name != "posix", reason="mode bits and links are POSIX")


@pytest.fixture
def odd_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.sec("SEC-39")
@pytest.mark.parametrize(
    ("label", "file"),
    [
        ("kitchen", "kitchen.pem"),
        ("till-2_b.shop", "till-2_b.shop.pem"),
        ("Kitchen", "%4bitchen.pem"),
        ("a b", "a%20b.pem"),
        ("..", "%2e..pem"),
        (".hidden", "%2ehidden.pem"),
        ("../../etc/passwd", "%2e.%2f..%2fetc%2fpasswd.pem"),
        ("a\\b:c*", "a%5cb%3ac%2a.pem"),
        ("nul", "%6eul.pem"),
        ("com1.x", "%63om1.x.pem"),
        ("Küche", "%4b%c3%bcche.pem"),
    ],
)
def test_a_label_becomes_one_harmless_file_name(label: str, file: str) -> None:
    assert vault.label_path(Path("keys"), label) == Path("keys") / file


labels = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")),
    min_size=1,
    max_size=LABEL_CHARACTERS_MAX,
)


@settings(max_examples=100, deadline=None)
@given(labels, labels)
def test_labels_share_a_file_only_if_they_are_equal(one: str, other: str) -> None:
    first, second = (vault.label_path(Path("keys"), label) for label in (one, other))
    assert (first.name.lower() == second.name.lower()) == (one == other)
    assert first.parent == Path("keys")
    assert len(first.name.encode()) <= 255


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        ("", "has 0 characters"),
        ("x" * (LABEL_CHARACTERS_MAX + 1), "has 65 characters"),
        ("a\nb", "unprintable"),
        ("a\x00b", "unprintable"),
        ("\ud800", "unprintable"),
        (" a", "space at an end"),
        ("a ", "space at an end"),
        (7, "must be a str, not int"),
    ],
)
def test_other_labels_are_refused(label: object, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        vault.check_label(label)  # type: ignore[arg-type]


def test_a_label_may_have_64_characters_of_any_script() -> None:
    assert vault.check_label("鍵" * LABEL_CHARACTERS_MAX)
    assert vault.check_label("x" * LABEL_CHARACTERS_MAX)


# --- the default place ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/settee/identities"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "/home/bob/.local/share/settee/identities"),
        ("linux", {}, "/home/bob/.local/share/settee/identities"),
        ("darwin", {}, "/home/bob/Library/Application Support/settee/identities"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/settee/identities"),
        ("win32", {}, "/home/bob/AppData/Local/settee/identities"),
    ],
)
@posix_only
def test_each_platform_has_its_place(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", "/home/bob")
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert vault.default_directory() == Path(expected)


# --- files ----------------------------------------------------------------------------------------


def test_what_is_published_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "key.pem"
    assert vault.publish(path, b"secret", "the key")
    assert vault.read(path, "the key") == b"secret"
    assert [p.name for p in path.parent.iterdir()] == ["key.pem"]


@pytest.mark.sec("SEC-36")
@posix_only
@pytest.mark.usefixtures("odd_umask")
def test_files_are_ours_alone_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "identities" / "key.pem"
    vault.publish(path, b"secret", "the key")
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    vault.replace(path, b"other", "the key")
    assert mode(path) == 0o600


def test_publishing_never_touches_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    assert vault.publish(path, b"first", "the key")
    assert not vault.publish(path, b"second", "the key")
    assert vault.read(path, "the key") == b"first"
    assert len(list(tmp_path.iterdir())) == 1


@posix_only
def test_publishing_does_not_follow_a_planted_link(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "key.pem", tmp_path / "elsewhere"
    path.symlink_to(elsewhere)
    assert not vault.publish(path, b"secret", "the key")
    assert not elsewhere.exists()


@posix_only
def test_publishing_works_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "key.pem"
    assert vault.publish(path, b"first", "the key")
    assert not vault.publish(path, b"second", "the key")
    assert vault.read(path, "the key") == b"first"
    assert mode(path) == 0o600
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("write", [vault.publish, vault.replace])
def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: object
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"the key can't be written to '.*': No space left"):
        write(tmp_path / "key.pem", b"secret", "the key")  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


def test_replacing_keeps_the_old_one_if_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users.json"
    vault.replace(path, b"old", "the table")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StoreError, match="Permission denied"):
        vault.replace(path, b"new", "the table")
    assert vault.read(path, "the table") == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_place_that_can_be_no_directory_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="can't be written"):
        vault.publish(tmp_path / "file" / "key.pem", b"secret", "the key")
    with pytest.raises(StoreError, match="can't be read"):
        vault.read(tmp_path / "file" / "key.pem", "the key")


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="the key does not exist"):
        vault.read(tmp_path / "none.pem", "the key")


@pytest.mark.sec("SEC-36")
@posix_only
@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o777])
def test_a_file_open_to_others_is_refused(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "key.pem"
    vault.publish(path, b"secret", "the key")
    path.chmod(bits)
    with pytest.raises(StoreError, match=f"mode {bits:04o}") as caught:
        vault.read(path, "the key")
    assert "secret" not in str(caught.value)


@posix_only
@pytest.mark.parametrize("bits", [0o600, 0o400])
def test_a_file_of_our_own_is_read(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "key.pem"
    vault.publish(path, b"secret", "the key")
    path.chmod(bits)
    assert vault.read(path, "the key") == b"secret"


@posix_only
def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key.pem"
    vault.publish(path, b"secret", "the key")
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(StoreError, match="belongs to user"):
        vault.read(path, "the key")


@pytest.mark.sec("SEC-36")
@posix_only
def test_a_link_is_refused_even_to_a_good_file(tmp_path: Path) -> None:
    good, link = tmp_path / "good.pem", tmp_path / "link.pem"
    vault.publish(good, b"secret", "the key")
    link.symlink_to(good)
    with pytest.raises(StoreError, match="symbolic link"):
        vault.read(link, "the key")


@posix_only
def test_a_link_put_there_in_the_last_moment_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, link = tmp_path / "good.pem", tmp_path / "link.pem"
    vault.publish(good, b"secret", "the key")
    link.symlink_to(good)
    monkeypatch.setattr(Path, "is_symlink", lambda self: False)
    with pytest.raises(StoreError, match="symbolic link"):
        vault.read(link, "the key")


@posix_only
def test_a_directory_or_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "dir.pem").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe.pem", 0o600)
    for name in ("dir.pem", "pipe.pem"):
        with pytest.raises(StoreError, match="no plain file"):
            vault.read(tmp_path / name, "the key")


def test_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    vault.publish(path, b"x" * SECRET_FILE_BYTES_MAX, "the key")
    assert len(vault.read(path, "the key")) == SECRET_FILE_BYTES_MAX
    vault.replace(path, b"x" * (SECRET_FILE_BYTES_MAX + 1), "the key")
    with pytest.raises(StoreError, match="more than"):
        vault.read(path, "the key")


def test_deleting_takes_what_a_crash_left_too(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    vault.publish(path, b"secret", "the key")
    (tmp_path / ".key.pem.0011223344556677.new").write_bytes(b"half")
    (tmp_path / ".other.pem.0011223344556677.new").write_bytes(b"somebody else's")
    assert vault.remove(path, "the key")
    assert not vault.remove(path, "the key")
    assert [p.name for p in tmp_path.iterdir()] == [".other.pem.0011223344556677.new"]
