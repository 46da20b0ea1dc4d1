"""Records to JSON's kinds of values and back: one way for the journal, the files and the rest.

In: data classes. Out: dictionaries, and from those the same data classes, checked. A field with the
metadata `BESIDE` holds numbers that lie, in JSON, beside the other fields. How a class is converted
is worked out once per class.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import GetPydanticSchema, TypeAdapter, ValidationError
from pydantic_core import to_json
from pydantic_core.core_schema import any_schema

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)

BESIDE: Mapping[str, bool] = MappingProxyType({"beside": True})
"""Metadata of a field, a dictionary of numbers and None, whose entries are encoded beside the other
fields; they are checked here, and need not be by pydantic (`UNCHECKED`)."""
UNCHECKED = GetPydanticSchema(lambda _kind, _handler: any_schema())
_NUMBERS = frozenset({int, float, type(None)})
_PLAIN = _NUMBERS | {str, bool}
_AT_ONCE = 128
"""Dictionaries that are decoded at a time."""


def encode(value: Any) -> Any:
    """A value as JSON has it: data classes and mappings as dictionaries, tuples as lists.

    Args:
        value: Made of data classes, mappings, lists, tuples and what JSON knows.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in (list, tuple):
        return [encode(entry) for entry in value]
    if kind is dict:
        return {str(key): encode(entry) for key, entry in value.items()}
    if not dataclasses.is_dataclass(value):
        return value
    names, beside = _layout(kind)  # type: ignore[arg-type]  # a class is hashable
    encoded = {}
    for name in names:
        held = getattr(value, name)
        encoded[name] = held if type(held) in _PLAIN else encode(held)
    return encoded if beside is None else encoded | getattr(value, beside)


def json_line(value: Any) -> bytes:
    """A value as JSON in UTF-8, without blanks or line breaks: what `encode` makes of it, faster.

    Args:
        value: Made of data classes, mappings, lists, tuples and what JSON knows; of data classes
            inside it, none has a field whose entries lie beside the others.

    Raises:
        ValueError: A number in it is not finite, or a text is no Unicode.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = entries_of(value)
    text = to_json(value)
    if b"NaN" in text or b"Infinity" in text:
        json.dumps(encode(value), allow_nan=False)  # unless they are words
    return text


def entries_of(record: DataclassInstance) -> dict[str, Any]:
    """A record's fields, and beside them what lies there: `encode` of the outermost level alone.

    Args:
        record: See `json_line`, which takes what this returns as a part of its value, too.
    """
    names, beside = _layout(type(record))
    entries = {name: getattr(record, name) for name in names}
    return entries if beside is None else entries | getattr(record, beside)


def decode(kind: type[Record], values: dict[str, Any]) -> Record:
    """What `encode` has made a dictionary of. Unknown entries are dropped, or belong beside.

    Args:
        kind: The data class.
        values: Belong to the caller no more: they are taken apart.

    Raises:
        ValueError: A field is missing or of another kind; says which.
    """
    return decode_many(kind, [values])[0]


def decode_many(kind: type[Record], entries: list[dict[str, Any]]) -> list[Record]:
    """What `encode` has made dictionaries of, in their order.

    Args:
        kind: The data class of all of them.
        entries: See `decode`, with the same errors; the list is emptied.
    """
    records: list[Record] = []
    names, beside = _layout(kind)
    single = len(entries) == 1
    entries.reverse()
    while entries:
        # Some at a time: they are gone, and their memory is used again, before the next are read.
        given = entries[: -_AT_ONCE - 1 : -1]
        del entries[-_AT_ONCE:]
        first = len(records)
        if beside is not None:
            _set_aside(beside, names, given)
            _refuse_others(beside, given, first)
        try:
            records += _adapter(kind).validate_python(given)
        except ValidationError as error:
            told = error.errors(include_url=False, include_input=False)[0]
            place, *where = told["loc"]
            parts = where if single else [first + int(place), *where]
            raise ValueError(f"{'.'.join(map(str, parts))}: {told['msg']}") from None
    return records


def _set_aside(beside: str, names: Iterable[str], given: Iterable[dict[str, Any]]) -> None:
    """In dictionaries, put what is none of the fields of these names into the field `beside`."""
    known = frozenset(names)
    keys: tuple[str, ...] = ()
    others: list[str] = []
    for values in given:
        if tuple(values) != keys:  # those of one file are alike
            keys = tuple(values)
            others = [name for name in keys if name not in known]
        pop = values.pop
        values[beside] = {name: pop(name) for name in others}


def _refuse_others(beside: str, given: Iterable[Mapping[str, Any]], first: int) -> None:
    """Refuse what lies beside fields and is no number or None. pydantic would take a third of the
    time in which a results file is read to make sure of that.

    Raises:
        ValueError: As it is raised for any other field.
    """
    if _NUMBERS.issuperset(map(type, chain.from_iterable(row[beside].values() for row in given))):
        return
    for place, row in enumerate(given, first):
        for name, value in row[beside].items():
            if type(value) not in _NUMBERS:
                raise ValueError(f"{place}.{name}: {value!r:.60} is no number")


@cache
def _layout(kind: type) -> tuple[tuple[str, ...], str | None]:
    """(fields, the field whose entries lie beside them) of a data class."""
    fields = dataclasses.fields(kind)
    beside = [field.name for field in fields if field.metadata.get("beside")]
    names = tuple(field.name for field in fields if field.name not in beside)
    return names, beside[0] if beside else None


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(list[kind])  # type: ignore[valid-type]
