"""Dataclasses and TypedDicts as documents: written field by field, read back with their types.

A dataclass is written as a mapping of its fields, nested ones too; nothing but its annotations is
needed. Read back, a value must be what the annotation says: a float field takes an integer, a
`datetime` field ISO 8601 text, an enumeration its value, a nested dataclass or TypedDict an object;
anything else is an InvalidDocumentError that names the path. A key that is missing takes the
field's default, or None where the annotation allows it.

Keys that the class doesn't know (a newer version of the program may have written them) are left
out; saved again the document would lose them. A field with the metadata `OTHER_KEYS` keeps them.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import types
import typing
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Final, Protocol, TypeVar, cast

from settee.db.blob import Blob
from settee.errors import ConfigError, InvalidDocumentError

__all__ = ["OTHER_KEYS", "DataclassInstance", "build", "fields_of", "is_model"]

M = TypeVar("M")

_OTHER: Final = "settee.other_keys"

OTHER_KEYS: Final[Mapping[str, bool]] = types.MappingProxyType({_OTHER: True})
"""Metadata of the dataclass field that keeps the keys which the class doesn't know.

``others: dict[str, Any] = field(default_factory=dict, metadata=OTHER_KEYS)``. When the instance is
saved they are written again, so that an older program loses nothing that a newer one wrote."""

_Read = Callable[[Any, str], Any]
"""Makes the annotated type of a JSON value; is given the path for errors."""


class DataclassInstance(Protocol):
    """Any instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


# --- in -------------------------------------------------------------------------------------------


def is_model(value: object) -> bool:
    """Tell whether a value is an instance of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


@lru_cache(maxsize=1024)
def _names(cls: type) -> tuple[tuple[str, ...], str | None]:
    """Return the fields to write, and the one with the other keys."""
    names, other = [], None
    for each in dataclasses.fields(cls):
        if each.metadata.get(_OTHER):
            other = each.name
        else:
            names.append(each.name)
    return tuple(names), other


def fields_of(instance: DataclassInstance) -> dict[str, Any]:
    """Return the fields of a dataclass as a mapping; what is nested stays as it is."""
    names, other = _names(type(instance))
    body = {name: getattr(instance, name) for name in names}
    if other is not None:
        body = {**getattr(instance, other), **body}
    return body


# --- out ------------------------------------------------------------------------------------------


def build(cls: type[M], value: Mapping[str, Any], path: str = "") -> M:
    """Make an instance of a dataclass, or a TypedDict, of a document's values.

    Raises InvalidDocumentError naming the path of what doesn't fit, ConfigError for a class that is
    neither or has an annotation that no JSON value can be.
    """
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)) and not typing.is_typeddict(
        cls
    ):
        raise ConfigError("as_", f"must be a dataclass or a TypedDict, not {_name(cls)}")
    return cast("M", _reader_of(cast("Any", cls))(value, path))


@lru_cache(maxsize=4096)
def _reader_of(hint: Any) -> _Read:
    """Return what reads values of an annotation."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(hint, type):
        found = _reader_of_class(hint)
        if found is not None:
            return found
    if isinstance(hint, typing.NewType):
        return _reader_of(hint.__supertype__)
    if typing.is_typeddict(hint):
        return _Lazy(hint)
    if type(hint).__name__ == "TypeAliasType":
        return _reader_of(hint.__value__)
    return _reader_of_generic(hint, typing.get_origin(hint), typing.get_args(hint))


def _reader_of_class(cls: type) -> _Read | None:
    if dataclasses.is_dataclass(cls) or typing.is_typeddict(cls):
        return _Lazy(cls)
    if issubclass(cls, enum.Enum):
        return _enum_reader(cls)
    if issubclass(cls, Blob) or hasattr(cls, "__settee_blob__"):
        return _blob_reader(cls)
    return None


def _reader_of_generic(hint: Any, origin: Any, arguments: tuple[Any, ...]) -> _Read:
    if origin is typing.Annotated:
        return _reader_of(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _union_reader(arguments)
    if origin is typing.Literal:
        return _literal_reader(arguments)
    if origin in (list, Sequence, MutableSequence):
        return _list_reader(_reader_of(arguments[0]))
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin in (dict, Mapping, MutableMapping) and arguments[0] is str:
        return _dict_reader(_reader_of(arguments[1]))
    raise ConfigError("as_", f"has the annotation {hint!r}, which no JSON value can be read as")


class _Lazy:
    """Reads a class when it is first met: it may hold itself."""

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self._read: _Read | None = None

    def __call__(self, value: Any, path: str) -> Any:
        read = self._read
        if read is None:
            typed = typing.is_typeddict(self._cls)
            read = self._read = _typed_dict_reader(self._cls) if typed else _model(self._cls)
        return read(value, path)


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except NameError as exc:
        raise ConfigError(
            "as_", f"{_name(cls)} has an annotation that can't be looked up: {exc}"
        ) from exc


def _model(cls: type) -> _Read:
    hints = _hints(cls)
    readers: list[tuple[str, _Read, bool, bool]] = []
    other: str | None = None
    for each in dataclasses.fields(cls):
        if each.metadata.get(_OTHER):
            other = each.name
        elif each.init:
            missing = dataclasses.MISSING
            has_default = each.default is not missing or each.default_factory is not missing
            hint = hints[each.name]
            readers.append((each.name, _reader_of(hint), has_default, _allows_none(hint)))
    known = frozenset(each.name for each in dataclasses.fields(cls))

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            raise _misfit(path, f"an object, for {cls.__name__}", value)
        values: dict[str, Any] = {}
        for name, reader, has_default, allows_none in readers:
            if name in value:
                values[name] = reader(value[name], f"{path}.{name}" if path else name)
            elif not has_default:
                if not allows_none:
                    raise InvalidDocumentError(
                        f"{f'{path}.{name}' if path else name}: is missing, and {cls.__name__} "
                        "has no default for it"
                    )
                values[name] = None
        if other is not None:
            values[other] = {key: value[key] for key in value if key not in known}
        return cls(**values)

    return read


def _typed_dict_reader(cls: Any) -> _Read:
    readers = {name: _reader_of(hint) for name, hint in _hints(cls).items()}
    required = _required_keys(cls)

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            raise _misfit(path, f"an object, for {cls.__name__}", value)
        for name in required:
            if name not in value:
                raise InvalidDocumentError(
                    f"{f'{path}.{name}' if path else name}: is missing, and {cls.__name__} "
                    "requires it"
                )
        # A TypedDict may have keys that it doesn't name: they stay.
        return {
            key: readers[key](each, f"{path}.{key}" if path else key) if key in readers else each
            for key, each in value.items()
        }

    return read


def _required_keys(cls: Any) -> list[str]:
    """Return the keys that a TypedDict requires.

    Under ``from __future__ import annotations`` the class itself doesn't know what is NotRequired.
    """
    required = []
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        while typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        origin = typing.get_origin(hint)
        if origin is typing.Required or (
            origin is not typing.NotRequired and name in cls.__required_keys__
        ):
            required.append(name)
    return required


def _allows_none(hint: Any) -> bool:
    if hint is None or hint is type(None):
        return True
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(map(_allows_none, typing.get_args(hint)))
    return False


# --- one kind of value each -----------------------------------------------------------------------


def _misfit(path: str, wanted: str, value: Any) -> InvalidDocumentError:
    found = "null" if value is None else type(value).__name__
    return InvalidDocumentError(f"{path or 'the document'}: must be {wanted}, not {found}")


def _exactly(kind: type, wanted: str) -> _Read:
    def read(value: Any, path: str) -> Any:
        if type(value) is not kind:
            raise _misfit(path, wanted, value)
        return value

    return read


def _number(value: Any, path: str) -> float:
    if type(value) is not float and type(value) is not int:
        raise _misfit(path, "a number", value)
    return float(value)


def _moment(value: Any, path: str) -> datetime.datetime:
    if isinstance(value, str):
        with_zone = _parsed(datetime.datetime.fromisoformat, value)
        if with_zone is not None:
            return with_zone if with_zone.utcoffset() is not None else with_zone.astimezone()
    raise _misfit(path, "an ISO 8601 date and time", value)


def _day(value: Any, path: str) -> datetime.date:
    if isinstance(value, str):
        day = _parsed(datetime.date.fromisoformat, value)
        if day is not None:
            return day
    raise _misfit(path, "an ISO 8601 date", value)


def _parsed(parse: Callable[[str], M], text: str) -> M | None:
    try:
        return parse(text)
    except ValueError:
        return None


def _as_it_is(value: Any, _path: str) -> Any:
    return value


def _list_reader(each: _Read) -> _Read:
    def read(value: Any, path: str) -> Any:
        if type(value) is not list:
            raise _misfit(path, "a list", value)
        return [each(item, f"{path}[{i}]") for i, item in enumerate(value)]

    return read


def _tuple_reader(hints: tuple[Any, ...]) -> _Read:
    if len(hints) == 2 and hints[1] is Ellipsis:
        as_list = _list_reader(_reader_of(hints[0]))
        return lambda value, path: tuple(as_list(value, path))
    readers = [_reader_of(hint) for hint in hints if hint != ()]

    def read(value: Any, path: str) -> Any:
        if type(value) is not list or len(value) != len(readers):
            raise _misfit(path, f"a list of {len(readers)}", value)
        return tuple(
            reader(item, f"{path}[{i}]")
            for i, (reader, item) in enumerate(zip(readers, value, strict=True))
        )

    return read


def _dict_reader(each: _Read) -> _Read:
    def read(value: Any, path: str) -> Any:
        if type(value) is not dict:
            raise _misfit(path, "an object", value)
        return {key: each(item, f"{path}.{key}" if path else key) for key, item in value.items()}

    return read


def _literal_reader(allowed: tuple[Any, ...]) -> _Read:
    def read(value: Any, path: str) -> Any:
        for each in allowed:
            if type(value) is type(each) and value == each:
                return each
        raise _misfit(path, f"one of {', '.join(map(repr, allowed))}", value)

    return read


def _enum_reader(cls: type[enum.Enum]) -> _Read:
    def read(value: Any, path: str) -> Any:
        try:
            return cls(value)
        except ValueError:
            raise InvalidDocumentError(
                f"{path}: {str(value)[:80]!r} is no value of {cls.__name__}"
            ) from None

    return read


def _blob_reader(cls: type) -> _Read:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, cls):
            raise _misfit(path, f"a blob ({cls.__module__}.{cls.__name__})", value)
        return value

    return read


def _union_reader(hints: tuple[Any, ...]) -> _Read:
    wanted = sorted(hints, key=lambda hint: hint is float)  # Last: it takes integers too.
    readers = [_reader_of(hint) for hint in wanted if hint is not type(None)]
    optional = len(readers) < len(hints)

    def read(value: Any, path: str) -> Any:
        if value is None and optional:
            return None
        problem: InvalidDocumentError | None = None
        for reader in readers:
            try:
                return reader(value, path)
            except InvalidDocumentError as exc:
                problem = problem or exc
        if len(readers) == 1 and problem is not None:
            raise problem
        names = " or ".join(map(_name, hints))
        raise _misfit(path, names, value)

    return read


def _name(hint: Any) -> str:
    return "null" if hint is type(None) else getattr(hint, "__name__", None) or repr(hint)


_PLAIN: Final[dict[Any, _Read]] = {
    str: _exactly(str, "text"),
    bool: _exactly(bool, "true or false"),
    int: _exactly(int, "an integer"),
    float: _number,
    type(None): _exactly(type(None), "null"),
    None: _exactly(type(None), "null"),
    Any: _as_it_is,
    object: _as_it_is,
    list: _exactly(list, "a list"),
    dict: _exactly(dict, "an object"),
    datetime.datetime: _moment,
    datetime.date: _day,
}
