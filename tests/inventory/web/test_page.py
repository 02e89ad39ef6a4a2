"""The page and the routes beside it, asked over HTTP."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from tests.inventory.web.programs import PASSWORD, Program, running

# A real process with NiceGUI in it takes two seconds to start.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("page")) as program:
        assert program.ask(program.address)[0] == 200
        yield program


def upload(program: Program, item: str, data: bytes, **headers: str) -> tuple[int, bytes]:
    """Post a picture as the page does; return status and body."""
    boundary = "xxx"
    body = (
        (
            f"--{boundary}\r\nContent-Disposition: form-data; name=picture; filename=a.html\r\n"
            f"Content-Type: text/html\r\n\r\n"
        ).encode()
        + data
        + f"\r\n--{boundary}--\r\n".encode()
    )
    all_headers = {
        "Origin": program.origin,
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        **headers,
    }
    status, answer, _ = program.ask(f"/item/{quote(item, safe='')}/picture", body, **all_headers)
    return status, answer


def png(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 200), colour).save(out, "PNG")
    return out.getvalue()


def test_the_page_holds_the_list_and_loads_from_nowhere_else(program: Program) -> None:
    status, body, headers = program.ask("/")
    assert status == 200
    assert b"Brussels Sprouts" in body
    assert b"frame-ancestors 'none'" in headers["content-security-policy"].encode()
    text = body.decode()
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def test_without_the_cookie_there_is_no_page_no_picture_and_no_diagnostics(
    program: Program, tmp_path: Path
) -> None:
    import urllib.error
    import urllib.request

    for path in ("/", "/picture/sha1-x", "/diagnostics", "/assets/js/index.js", "/_nicegui_ws/"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(program.origin + path, timeout=20)
        assert refused.value.code == 403
        refused.value.close()


def test_a_picture_is_stored_as_what_it_is_and_served_as_that(program: Program) -> None:
    assert upload(program, "item::corn", png()) == (200, b"")
    changed = program.heard("change")
    assert changed["name"] == "Corn"
    _, body, _ = program.ask("/")
    found = body.decode().partition('"item::corn"')[2]
    thumb = found.partition("/picture/")[2].partition("&")[0].partition('"')[0]
    status, data, headers = program.ask("/picture/" + thumb.partition("\\")[0])
    assert status == 200
    assert headers["content-type"] == "image/jpeg"
    assert "immutable" in headers["cache-control"]
    assert headers["content-security-policy"].startswith(("sandbox", "default-src"))
    assert max(Image.open(io.BytesIO(data)).size) <= 128


def test_what_is_no_picture_is_refused_with_a_sentence(program: Program) -> None:
    status, sentence = upload(program, "item::corn", b"<script>alert(1)</script>")
    assert status == 422
    assert b"not a picture" in sentence
    assert upload(program, "no such item", png())[0] == 422
    assert upload(program, "item::corn", png(), Origin="http://evil.example")[0] == 403


def test_unknown_pictures_are_not_found(program: Program) -> None:
    for path in ("/picture/sha1-AAAA", "/picture/..%2f..%2fetc%2fpasswd", "/thumb/nothing"):
        assert program.ask(path)[0] == 404


def test_small_pictures_are_made_for_items_that_have_none(program: Program) -> None:
    status, data, headers = program.ask("/thumb/item%3A%3Aapples?of=x")
    assert (status, headers["content-type"]) == (200, "image/png")
    assert max(Image.open(io.BytesIO(data)).size) <= 128


def test_the_diagnostics_hold_states_and_no_secret(program: Program) -> None:
    status, data, headers = program.ask("/diagnostics")
    assert status == 200
    assert "attachment" in headers["content-disposition"]
    archive = zipfile.ZipFile(io.BytesIO(data))
    state = json.loads(archive.read("state.json"))
    assert state["versions"]["settee"]
    assert state["listener"]["running"]
    token = program.address.partition("token=")[2].encode()
    for name in archive.namelist():
        content = archive.read(name)
        for secret in (PASSWORD.encode(), token, b"PRIVATE KEY", b"$scrypt$", b"Apples"):
            assert secret not in content, (name, secret)
