"""Forms with files (RFC 7578), for the routes that take one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

MULTIPART = "multipart/form-data"
_LONGEST_BOUNDARY = 70
"""RFC 2046, section 5.1.1."""


class Parts(NamedTuple):
    """The fields and the files of a form, in their order, by name."""

    fields: list[tuple[str, str]]
    files: list[tuple[str, bytes]]


def parts_of(content_type: str, body: bytes, most: int) -> Parts:
    """The parts of a body that was read whole. Raises `ValueError` for a malformed one, and for more than `most` parts.

    Fields are UTF-8 whatever the parts claim, since a form is sent in the encoding of its page.
    """
    boundary = parse_options_header(content_type)[1].get("boundary", "").encode("ascii", "replace")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise ValueError("a form with files names its boundary")
    found, name, is_file, content = Parts([], []), "", False, bytearray()
    for event in _events(boundary, body, most):
        if isinstance(event, Field | File):
            if not event.name:
                raise ValueError("a part without a name")
            name, is_file = event.name, isinstance(event, File)
        elif isinstance(event, Data):
            content += event.data
            if not event.more_data:
                if is_file:
                    found.files.append((name, bytes(content)))
                else:
                    found.fields.append((name, content.decode("utf-8")))
                content.clear()
    return found


def _events(boundary: bytes, body: bytes, most: int) -> Iterator[Event]:
    """What the decoder finds, up to the end. Raises `ValueError`."""
    decoder = MultipartDecoder(boundary, max_form_memory_size=len(body), max_parts=most)
    decoder.receive_data(body)
    decoder.receive_data(None)
    try:
        while not isinstance(event := decoder.next_event(), Epilogue):
            if isinstance(event, NeedData):
                raise ValueError("the body ends within a part")
            yield event
    except RequestEntityTooLarge:
        raise ValueError("too many parts") from None
