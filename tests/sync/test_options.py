from __future__ import annotations

from settee.sync.options import CollectionOptions, SessionConfig
from tests.sync.peers import ITEMS, ORDERS


def test_a_checkpoint_depends_on_which_documents_are_meant_and_not_on_functions() -> None:
    every = [
        CollectionOptions(),
        CollectionOptions(document_ids=()),
        CollectionOptions(document_ids=("a",)),
        CollectionOptions(document_ids=("b", "a")),
        CollectionOptions(document_ids=("a", "b")),
        CollectionOptions(channels=("a",)),
        CollectionOptions(channels=("a",), document_ids=("a",)),
    ]
    assert len({repr(options.filters) for options in every}) == len(every)
    asked = CollectionOptions(push_filter=True, pull_filter=True, resolver=True)
    assert asked.filters == CollectionOptions().filters == ()


def test_each_collection_has_its_own_and_none_has_any_unless_told() -> None:
    config = SessionConfig(active=True, collections=(ITEMS, ORDERS))
    assert config.options_of(1) == CollectionOptions()
    options = (CollectionOptions(), CollectionOptions(resolver=True))
    config = SessionConfig(active=True, collections=(ITEMS, ORDERS), options=options)
    assert config.options_of(0) == CollectionOptions()
    assert config.options_of(1).resolver
