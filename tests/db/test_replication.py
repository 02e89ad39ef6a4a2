from __future__ import annotations

import dataclasses
import typing

import pytest

import settee
import settee.aio
from settee.db.replication import DocumentError, ReplicationResult
from settee.errors import InvalidDocumentError
from settee.ids import DEFAULT_COLLECTION


def test_both_skins_say_what_replicate_returns() -> None:
    for database in (settee.Database, settee.aio.Database):
        assert typing.get_type_hints(database.replicate)["return"] is ReplicationResult
    assert settee.ReplicationResult is ReplicationResult
    assert settee.DocumentError is DocumentError


def test_a_result_can_be_kept_and_not_changed() -> None:
    failed = DocumentError(
        collection=DEFAULT_COLLECTION, doc_id="a", pushed=True, error=InvalidDocumentError("no")
    )
    result = ReplicationResult(
        pushed=1, pulled=2, bytes_pushed=30, bytes_pulled=40, errors=(failed,), elapsed_s=0.5
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.pushed = 2  # type: ignore[misc]
    assert result == dataclasses.replace(result)
    assert str(result.errors[0].collection) == "_default"
