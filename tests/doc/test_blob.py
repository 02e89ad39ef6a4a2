from __future__ import annotations

import pytest

from settee.doc.blob import (
    BlobReference,
    Prover,
    absorb_attachments,
    compressible,
    find_blobs,
    may_have_blobs,
    with_attachments,
)
from settee.errors import InvalidDocumentError
from tests.doc.vectors import vectors

HELLO = "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00="
EMPTY = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="
VECTORS = vectors("prove_attachment")


def blob(digest: str = HELLO, **more: object) -> dict[str, object]:
    return {"@type": "blob", "digest": digest, **more}


def test_blobs_are_found_anywhere_in_a_body_each_once():
    value = {
        "photo": blob(length=5, content_type="image/png", encoding="gzip"),
        "album": [{"pic": blob(EMPTY, length=0)}, [blob()]],
    }
    assert find_blobs(value) == [
        BlobReference(HELLO, 5, "image/png", "gzip"),
        BlobReference(EMPTY, 0, "", ""),
    ]


def test_attachments_count_as_blobs_without_being_typed():
    value = {"_attachments": {"a.txt": {"digest": HELLO, "length": 5}, "x": 1, "y": {"digest": 2}}}
    assert find_blobs(value) == [BlobReference(HELLO, 5, "", "")]
    assert find_blobs({"inner": {"_attachments": {"a.txt": {"digest": HELLO}}}}) == []


@pytest.mark.parametrize(
    "item",
    [
        {"digest": HELLO},
        {"@type": "Blob", "digest": HELLO},
        {"@type": "blob"},
        blob("sha1-../../x"),
        blob("sha1-qvTGHdzF6KLavt4PO0gs2a6pQ0"),
        blob("md5-qvTGHdzF6KLavt4PO0gs2a6pQ00="),
        {"@type": "blob", "digest": 7},
        {"@type": "blob", "digest": ["sha1-"]},
    ],
)
def test_what_only_looks_like_a_blob_is_none(item):
    assert find_blobs({"a": item}) == []


def test_a_blob_is_not_searched_for_blobs():
    assert find_blobs({"a": blob(EMPTY, inner=blob())}) == [BlobReference(EMPTY, None, "", "")]


@pytest.mark.parametrize("length", [-1, 1.5, "5", True, None])
def test_a_length_that_is_none_is_unknown(length):
    assert find_blobs({"a": blob(length=length, content_type=3)})[0] == (HELLO, None, "", "")


def test_the_quick_test_never_misses_a_blob():
    assert not may_have_blobs(b'{"a":1,"b":"digest"  }'.replace(b'"digest"', b"1"))
    assert may_have_blobs(b'{"a":{"@type":"blob","digest":"x"}}')
    assert may_have_blobs(b'{"a":{"@type":"blob","\\u0064igest":"x"}}')


# --- proofs -------------------------------------------------------------------------------------


def content(case: dict[str, object]) -> bytes:
    if case["blob_hex"] is not None:
        return bytes.fromhex(str(case["blob_hex"]))
    return bytes(i & 0xFF for i in range(int(str(case["length"]))))


@pytest.mark.parametrize("case", VECTORS["proofs"], ids=lambda case: case["name"])
@pytest.mark.parametrize("chunk_bytes", [1 << 20, 7])
def test_a_proof_needs_the_nonce_and_the_content(case, chunk_bytes):
    data = content(case)
    prover = Prover(bytes.fromhex(case["nonce_hex"]))
    for start in range(0, len(data), chunk_bytes):
        prover.update(data[start : start + chunk_bytes])
    assert prover.finish() == case["proof"]


@pytest.mark.parametrize("size", VECTORS["invalid_nonce_lengths"])
def test_a_nonce_of_impossible_length_is_refused(size):
    with pytest.raises(InvalidDocumentError, match="nonce"):
        Prover(bytes(size))


@pytest.mark.parametrize(
    ("content_type", "encoding", "expected"),
    [
        ("", "", False),
        ("text/plain", "", True),
        ("Text/HTML", "", True),
        ("application/json", "identity", True),
        ("text/plain", "gzip", False),
        ("text/plain", "GZIP", False),
        ("image/svg+xml", "", False),
        ("IMAGE/png", "", False),
        ("audio/wav", "", False),
        ("video/raw", "", False),
        ("application/zip", "", False),
        ("application/x-rar", "", False),
        ("application/pkcs7", "", False),
        ("application/mp4", "", False),
    ],
)
def test_only_what_seems_to_shrink_is_asked_for_compressed(content_type, encoding, expected):
    assert compressible(content_type, encoding) is expected


# --- attachments --------------------------------------------------------------------------------


@pytest.mark.feature("BLOB-10")
def test_every_blob_is_listed_for_a_peer_that_knows_only_attachments():
    value = {"photo": blob(length=5), "album": [{"pic": blob(EMPTY)}], "n": 1}
    listed = with_attachments(value, 3)
    assert listed == {
        **value,
        "_attachments": {
            "blob_/photo": {"digest": HELLO, "length": 5, "revpos": 3, "stub": True},
            "blob_/album/0/pic": {"digest": EMPTY, "revpos": 3, "stub": True},
        },
    }
    assert "_attachments" not in value
    assert with_attachments({"p": blob()})["_attachments"]["blob_/p"] == {
        "digest": HELLO,
        "stub": True,
    }


def test_a_body_without_blobs_gets_no_attachments():
    assert with_attachments({"n": 1}, 3) == {"n": 1}


def test_attachments_of_their_own_stay_beside_the_listed_ones():
    own = {"@type": "blob", "digest": EMPTY}
    listed = with_attachments({"p": blob(), "_attachments": {"a.txt": own}}, 1)
    assert list(listed["_attachments"]) == ["a.txt", "blob_/p"]


def test_what_was_listed_is_absorbed_again_whatever_its_keys():
    value = {"a/b": {"c": blob(length=5)}, "0": [blob(EMPTY)]}
    received = with_attachments(value, 2)
    assert absorb_attachments(received) == {}


def test_an_attachment_that_was_replaced_changes_its_blob():
    value = {"p": blob(length=5), "_attachments": {"blob_/p": {"digest": EMPTY, "length": 0}}}
    assert absorb_attachments(value) == {}
    assert value["p"] == blob(EMPTY, length=0)


@pytest.mark.parametrize("entry", [None, {"digest": "sha1-../x"}, {"stub": True}, 7])
def test_a_malformed_entry_for_a_blob_changes_nothing(entry):
    value = {"p": blob(), "_attachments": {"blob_/p": entry}}
    assert absorb_attachments(value) == {}
    assert value["p"] == blob()


def test_only_attachments_that_stand_for_nothing_else_stay():
    kept = {"a.txt": {"digest": HELLO}, "blob_/gone": {"digest": HELLO}, "blob_x": {}}
    value = {"p": blob(), "_attachments": {**kept, "blob_/p": {"digest": HELLO}, "blob_12": {}}}
    assert absorb_attachments(value) == kept
    assert absorb_attachments({"_attachments": [1]}) == {}
    assert absorb_attachments({}) == {}
