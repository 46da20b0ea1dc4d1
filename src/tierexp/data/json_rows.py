"""The objects of a file of JSON lines, or of one JSON array, with where each of them stands.

In: a path. Out: (place, object) pairs, in order. Knows nothing about what is in the objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tierexp.data.progress import told
from tierexp.errors import DataError

_DECODER = json.JSONDecoder()


def read_rows(file: Path, example: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read a file, one JSON object a line; empty lines are skipped. A file that begins with `[` is
    read as one array of such objects.

    Args:
        file: UTF-8, with or without a byte order mark.
        example: A line as it is expected, for messages.

    Yields:
        Where an object stands, such as `line 3` or `item 3`, counted from 1, and the object.

    Raises:
        DataError: The file cannot be read, or something in it is not a JSON object. The message
            names file and place.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    for place, value in _array(file, text, example) or _lines(file, text, example):
        if not isinstance(value, dict):
            raise DataError(f"{file}, {place}: not a JSON object; expected {example}")
        yield place, value


def _lines(file: Path, text: str, example: str) -> Iterator[tuple[str, Any]]:
    # Not splitlines(): a JSON string may hold any of the line breaks of Unicode but these.
    lines = text.split("\n")
    for number, line in enumerate(told(lines, len(lines), f"lines of {file.name} read"), start=1):
        if line and not line.isspace():
            place = f"line {number}"
            yield place, _parsed(line, text, file, place, example)


def _array(file: Path, text: str, example: str) -> list[tuple[str, Any]]:
    """The items of a file that is one JSON array of objects; nothing of any other."""
    # A line may be an array as well, which is what is wrong with it: said by its number.
    if not text.lstrip().startswith("[") or not text.lstrip("[ \t\r\n").startswith("{"):
        return []
    items = _parsed(text, text, file, "line 1", example)
    return [(f"item {number}", item) for number, item in enumerate(items, start=1)]


def _parsed(line: str, text: str, file: Path, place: str, example: str) -> Any:
    try:
        return _DECODER.decode(line)
    except json.JSONDecodeError as error:
        if line is text:
            place = f"line {error.lineno}"
        problem = f"malformed JSON at column {error.colno} ({error.msg})"
        if line is not text and _is_json(text):
            problem = "one JSON value over several lines; one object a line, or an array of them"
        raise DataError(f"{file}, {place}: {problem}; expected {example}") from None
    except RecursionError:
        problem = "brackets nested too deep"
    except ValueError:  # Python's limit for the digits of a whole number
        problem = "a number of thousands of digits"
    raise DataError(f"{file}, {place}: {problem}; expected {example}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
