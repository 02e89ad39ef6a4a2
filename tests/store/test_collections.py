from __future__ import annotations

import pytest

from settee.errors import InvalidNameError, NotFoundError
from settee.ids import CollectionName
from settee.store import Store, documents, feed
from settee.store.documents import Edit
from tests.store.conftest import Opener

SHOP = CollectionName("shop", "items")


def test_every_database_has_the_default_collection_first(store: Store) -> None:
    store.collection(SHOP, create=True)
    assert [row.name.path for row in store.collections()] == ["_default", "shop.items"]


def test_a_collection_is_made_only_when_asked_and_once(store: Store) -> None:
    assert store.collection(SHOP) is None
    made = store.collection(SHOP, create=True)
    assert made is not None
    assert store.collection(SHOP, create=True) == store.collection(SHOP) == made


def test_collections_do_not_share_documents_or_sequences(store: Store) -> None:
    shop = store.collection(SHOP, create=True)
    assert shop is not None
    store.write(lambda w: documents.save(w, 1, [Edit("a", b"{}"), Edit("b", b"{}")]))
    store.write(lambda w: documents.save(w, shop.key, [Edit("a", b'{"x":1}')]))
    with store.reader() as reader:
        assert feed.last_seq(reader, 1) == 2
        assert feed.last_seq(reader, shop.key) == 1
        assert documents.count(reader, shop.key) == 1


def test_a_deleted_collection_is_gone_with_all_that_hung_on_it(store: Store) -> None:
    shop = store.collection(SHOP, create=True)
    assert shop is not None
    digest = store.blobs.put(b"picture")
    store.write(lambda w: documents.save(w, shop.key, [Edit("a", b"{}", blobs=(digest,))]))
    assert store.delete_collection(SHOP)
    assert not store.delete_collection(SHOP)
    assert store.collection(SHOP) is None
    with store.reader() as reader:
        assert reader.rows("SELECT * FROM blob_refs") == []
        with pytest.raises(NotFoundError, match="deleted"):
            documents.get(reader, shop.key, "a")
        with pytest.raises(NotFoundError):
            documents.count(reader, shop.key)
        with pytest.raises(NotFoundError):
            feed.changes(reader, shop.key, 0, 10)
    with pytest.raises(NotFoundError):
        store.write(lambda w: documents.save(w, shop.key, [Edit("a", b"{}")]))


def test_a_collection_made_anew_has_another_key_and_goes_on_with_the_sequences(
    store: Store,
) -> None:
    for round_number in range(3):
        shop = store.collection(SHOP, create=True)
        assert shop is not None
        assert shop.key == 2 + round_number
        saved = store.write(lambda w: documents.save(w, shop.key, [Edit("a", b"{}")]))  # noqa: B023
        assert saved[0].seq == 1 + round_number
        store.delete_collection(SHOP)


def test_the_default_collection_cannot_be_deleted(store: Store) -> None:
    with pytest.raises(InvalidNameError):
        store.delete_collection(CollectionName.parse("_default"))


def test_collections_outlive_closing(open_store: Opener) -> None:
    first = open_store()
    made = first.collection(SHOP, create=True)
    first.close()
    assert open_store().collection(SHOP) == made


def test_a_collection_made_and_deleted_in_one_transaction_leaves_nothing(store: Store) -> None:
    with store.transaction() as writer:
        shop = store.collection(SHOP, create=True)
        assert shop is not None
        documents.save(writer, shop.key, [Edit("a", b"{}")])
        store.delete_collection(SHOP)
    assert store.collection(SHOP) is None
