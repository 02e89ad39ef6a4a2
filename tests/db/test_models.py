from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NewType, NotRequired, Required, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee import OTHER_KEYS
from settee.db import models
from settee.db.blob import Blob
from settee.db.collection import Collection
from settee.db.document import Document
from settee.errors import ConfigError, InvalidDocumentError

pytestmark = pytest.mark.feature("DOC-25")

Cents = NewType("Cents", int)
NOON = datetime.datetime(2026, 11, 26, 12, 0, tzinfo=datetime.UTC)


class Ripeness(enum.Enum):
    GREEN = "green"
    RIPE = "ripe"


@dataclasses.dataclass
class Supplier:
    name: str
    since: datetime.date | None = None


@dataclasses.dataclass
class Item:
    name: str
    price: float
    cents: Cents = Cents(0)
    seen: datetime.datetime | None = None
    ripeness: Ripeness = Ripeness.GREEN
    suppliers: list[Supplier] = dataclasses.field(default_factory=list)
    sizes: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    image: Blob | None = None
    box: tuple[int, float] | None = None
    unit: Literal["kg", "piece"] = "kg"
    note: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Tree:
    n: int
    below: Sequence[Tree] = ()
    links: Mapping[str, Tree] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Careful:
    name: str
    others: dict[str, Any] = dataclasses.field(default_factory=dict, metadata=OTHER_KEYS)


class Address(TypedDict):
    city: str
    since: NotRequired[datetime.date]


class Loose(TypedDict, total=False):
    must: Required[int]
    may: int


class Person(TypedDict):
    name: str
    home: Address | None


APPLES = Item(
    name="Apples",
    price=2.5,
    cents=Cents(250),
    seen=NOON,
    ripeness=Ripeness.RIPE,
    suppliers=[Supplier("Anna", datetime.date(2020, 2, 29)), Supplier("Bo")],
    sizes={"small": (1, 2), "large": ()},
    box=(3, 0.5),
    unit="piece",
)


def test_a_dataclass_is_saved_and_read_back_equal(items: Collection) -> None:
    items["apples"] = APPLES
    assert items.get("apples", as_=Item) == APPLES
    assert items["apples"]["suppliers"][0] == {"name": "Anna", "since": "2020-02-29"}
    assert items["apples"].to_dict()["ripeness"] == "ripe"
    assert items["apples"].as_(Item) == APPLES
    saved = items.save(dataclasses.replace(APPLES, price=3), id="apples")
    assert (saved.id, saved["price"]) == ("apples", 3)
    found = items.get("apples", as_=Item)
    assert found is not None
    assert isinstance(found.price, float)
    assert items.get("none", as_=Item) is None
    assert items.get("none", APPLES, as_=Item) is APPLES


def test_every_way_of_saving_takes_a_dataclass(items: Collection) -> None:
    added = items.add(Supplier("Cy"))
    assert items.get(added.id, as_=Supplier) == Supplier("Cy")
    assert (
        items.save_many([("d", Supplier("Di")), Supplier("Ed"), Document("f", Supplier("F"))]) == 3
    )
    assert sorted(each.as_(Supplier).name for each in items.documents()) == ["Cy", "Di", "Ed", "F"]
    items["mixed"] = {"list": [Supplier("G")]}
    assert items["mixed"]["list"][0]["name"] == "G"


def test_blobs_in_a_dataclass_are_stored_and_come_back(items: Collection) -> None:
    items["apples"] = dataclasses.replace(APPLES, image=Blob.from_bytes(b"red", "image/png"))
    found = items.get("apples", as_=Item)
    assert found is not None
    assert found.image is not None
    assert (found.image.read(), found.image.content_type) == (b"red", "image/png")
    with pytest.raises(InvalidDocumentError, match="image: must be a blob"):
        models.build(Item, {"name": "x", "price": 1, "image": "red"})


def test_a_class_may_hold_itself(items: Collection) -> None:
    tree = Tree(1, [Tree(2, [Tree(3, [])])], {"twin": Tree(4, [])})
    items["tree"] = tree
    assert items.get("tree", as_=Tree) == tree


def test_what_is_missing_takes_the_default_or_none_where_that_is_allowed() -> None:
    assert models.build(Item, {"name": "A", "price": 1}) == Item("A", 1.0)

    @dataclasses.dataclass
    class NoDefault:
        note: str | None
        n: int

    globals()["NoDefault"] = NoDefault
    assert models.build(NoDefault, {"n": 1}) == NoDefault(None, 1)
    with pytest.raises(InvalidDocumentError, match="n: is missing"):
        models.build(NoDefault, {"note": "x"})


def test_keys_that_the_class_does_not_know_are_left_out_or_kept_by_a_field_for_them(
    items: Collection,
) -> None:
    items["a"] = {"name": "A", "colour": "red", "n": [1]}
    assert items.get("a", as_=Supplier) == Supplier("A")
    careful = items.get("a", as_=Careful)
    assert careful == Careful("A", {"colour": "red", "n": [1]})
    assert careful is not None
    careful.name = "B"
    items["a"] = careful
    assert items["a"].to_dict() == {"name": "B", "colour": "red", "n": [1]}
    assert Careful("new").others == {}


def test_a_typed_dict_is_checked_and_keeps_what_it_does_not_name(items: Collection) -> None:
    person: Person = {"name": "Ann", "home": {"city": "Bern", "since": datetime.date(2020, 1, 2)}}
    items["ann"] = person
    found = items.get("ann", as_=Person)
    assert found == person
    items["bo"] = {"name": "Bo", "home": None, "extra": 1}
    assert items.get("bo", as_=Person) == {"name": "Bo", "home": None, "extra": 1}
    with pytest.raises(InvalidDocumentError, match=r"home\.city: is missing"):
        models.build(Person, {"name": "x", "home": {}})
    assert models.build(Person, {"name": "x", "home": {"city": "y"}})["home"] == {"city": "y"}
    assert models.build(Loose, {"must": 1}) == {"must": 1}
    with pytest.raises(InvalidDocumentError, match="must: is missing"):
        models.build(Loose, {"may": 1})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": 5}, "name: must be text, not int"),
        ({"name": None}, "name: must be text, not null"),
        ({"price": True}, "price: must be a number, not bool"),
        ({"price": "1"}, "price: must be a number, not str"),
        ({"cents": 1.5}, "cents: must be an integer, not float"),
        ({"cents": True}, "cents: must be an integer, not bool"),
        ({"seen": "yesterday"}, "seen: must be an ISO 8601 date and time"),
        ({"seen": 5}, "seen: must be"),
        ({"ripeness": "rotten"}, "ripeness: 'rotten' is no value of Ripeness"),
        ({"suppliers": [{"name": "A"}, {"name": 1}]}, r"suppliers\[1\]\.name: must be text"),
        ({"suppliers": [{"name": "A", "since": "x"}]}, r"suppliers\[0\]\.since: must be an ISO"),
        ({"suppliers": {}}, "suppliers: must be a list, not dict"),
        ({"suppliers": ["A"]}, r"suppliers\[0\]: must be an object, for Supplier, not str"),
        ({"sizes": {"a": [1, "2"]}}, r"sizes\.a\[1\]: must be an integer"),
        ({"sizes": []}, "sizes: must be an object, not list"),
        ({"box": [1]}, "box: must be a list of 2"),
        ({"unit": "litre"}, "unit: must be one of 'kg', 'piece'"),
    ],
)
def test_errors_name_the_document_and_the_path(
    items: Collection, changed: dict[str, Any], message: str
) -> None:
    items["apples"] = {"name": "Apples", "price": 1.0, **changed}
    with pytest.raises(InvalidDocumentError, match=message) as caught:
        items.get("apples", as_=Item)
    assert "the document 'apples'" in str(caught.value)


def test_what_cannot_be_saved_is_refused_with_its_path(items: Collection) -> None:
    @dataclasses.dataclass
    class Bad:
        parts: list[Any]

    with pytest.raises(InvalidDocumentError, match=r"'x': parts\[0\]\.parts\[1\]: bytes"):
        items["x"] = Bad([Bad([1, b"2"])])
    loop = Bad([])
    loop.parts.append(loop)
    with pytest.raises(InvalidDocumentError, match="nested deeper"):
        items["x"] = loop
    with pytest.raises(InvalidDocumentError, match="mapping or a dataclass"):
        items["x"] = Bad  # type: ignore[assignment]
    assert list(items) == []


def test_a_class_that_cannot_be_read_is_refused(items: Collection) -> None:
    @dataclasses.dataclass
    class Strange:
        raw: set[int]

    @dataclasses.dataclass
    class Unknown:
        raw: Nowhere  # type: ignore[name-defined]  # noqa: F821

    items["a"] = {"raw": [1]}
    with pytest.raises(ConfigError, match="as_: must be a dataclass"):
        items.get("a", as_=int)
    with pytest.raises(ConfigError, match="no JSON value"):
        items.get("a", as_=Strange)
    with pytest.raises(ConfigError, match="Nowhere"):
        items.get("a", as_=Unknown)


@dataclasses.dataclass
class Choice:
    value: int | float | str | list[int] | None


@pytest.mark.parametrize("value", [1, 1.0, "1", [1], None])
def test_a_union_takes_what_fits_and_no_integer_becomes_a_float(value: Any) -> None:
    found = models.build(Choice, {"value": value}).value
    assert found == value
    assert type(found) is type(value)


def test_a_union_that_nothing_fits_names_them_all() -> None:
    with pytest.raises(InvalidDocumentError, match=r"value: must be int or float or str"):
        models.build(Choice, {"value": {}})


@given(
    st.builds(
        Item,
        name=st.text(),
        price=st.floats(allow_nan=False, allow_infinity=False),
        cents=st.integers(-(2**63), 2**64 - 1).map(Cents),
        seen=st.none() | st.datetimes(timezones=st.just(datetime.UTC)),
        ripeness=st.sampled_from(Ripeness),
        suppliers=st.lists(st.builds(Supplier, st.text(), st.none() | st.dates())),
        sizes=st.dictionaries(st.text(), st.lists(st.integers(0, 9)).map(tuple)),
        image=st.none(),
        box=st.none() | st.tuples(st.integers(0, 9), st.floats(0, 1)),
        unit=st.sampled_from(["kg", "piece"]),
        note=st.none() | st.text(),
    )
)
def test_any_instance_survives_the_way_to_json_and_back(item: Item) -> None:
    assert Document.from_json(Document(None, item).to_json()).as_(Item) == item
