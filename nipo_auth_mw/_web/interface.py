"""What a view takes and gives: declared once beside the view, for the OpenAPI document and the docs' tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

FIELDS = {
    "active": "whether the account is active",
    "as_of": "a digest of the account when the page of the form was made; a program leaves it out",
    "after": "where the next page begins: `after` of the page before",
    "all": "every device except this one",
    "code": "a code of the authenticator app, in digits of any width, or a backup code",
    "credential": "what a passkey answered: the JSON text of the browser's `PublicKeyCredential`",
    "current_password": "the present password",
    "email": "an address; for `audit` also a part of a name or address of the accounts that the events are about",
    "confirm": "whether to add them now; without it a form shows what would be added",
    "corrected": "further people as in `emails`, to be looked over and not yet added",
    "emails": "people, one a line, at most 200: an address, or a row of a spreadsheet",
    "event": "the name of an event",
    "factor": "the id of an app or a passkey",
    "file": "whether the answer is a text file",
    "from": "the first day, such as 2026-04-01; for `staff/<id>/active` the page with the button",
    "invite": "whether the user sets the password by a link",
    "lang": "the code of a configured language",
    "language": "the code of a configured language",
    "memo": "a note for administrators",
    "must_change": "whether the user has to change this password at the next sign-in",
    "name": "a person's name; for `account/security/rename` that of a passkey",
    "next": "the path to return to",
    "notify_email": "another address for notifications",
    "on": "whether two steps are to be on",
    "password": "a password: the present one to confirm an action, else the new one",
    "q": "part of a name or of an address",
    "reading": "how a name is read (furigana): the staff list is sorted by it",
    "remember": "whether the session outlives the browser",
    "replace": "whether the new app takes the place of the present one",
    "reset": "1, since the second step is removed for good",
    "revoke": "whether to end the present invitation and make no other",
    "role": "a configured role; for `forward` any of several, separated by commas",
    "session": "the id of a session",
    "setup": "the secret of the page's QR code, sealed by the server",
    "show": "`active`, `disabled`, `admin`, `unused`, `temporary`, `invited`, `two_step`, `one_step`, `locked`",
    "sort": "a column: `name`, `email`, `role`, `last_used` or `active`, with `-` before it in reverse",
    "upload": "people as in `emails`, as a file: CSV, TSV or xlsx, at most 1 MiB; only in multipart/form-data",
    "to": "the last day, such as 2026-04-30",
}
"""Every field that a query or a body may have, and its meaning."""

FLAGS = frozenset(
    {"active", "all", "confirm", "file", "invite", "must_change", "on", "remember", "replace", "reset", "revoke"}
)
"""The fields that are booleans in JSON, and check boxes in a form."""

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Interface:
    """The names of the fields that a view reads, and the keys of its answer in JSON with their types.

    `gives` is None for a view that answers with a page or a file alone. For a second press of the form, `again`
    makes the page of the first press anew, or gives None if it cannot.
    """

    fields: tuple[str, ...] = ()
    gives: Mapping[str, Any] | None = None
    again: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class _Declared:
    """A decorator that keeps the interface with the view."""

    interface: Interface = field(default_factory=Interface)

    def __call__(self, view: View) -> View:
        """Declare the interface of this view."""
        vars(view)["interface"] = self.interface
        return view


def takes(*fields: str, gives: Mapping[str, Any] | None = None, again: Callable[..., Any] | None = None) -> _Declared:
    """Declare the fields of a view, in the query for GET and in the body for POST, its answer in JSON, and what makes
    its page anew.

    Raises KeyError for fields that `FIELDS` does not explain.
    """
    if unexplained := set(fields) - set(FIELDS):
        raise KeyError(f"FIELDS does not explain {', '.join(sorted(unexplained))}")
    return _Declared(Interface(fields, gives, again))


def interface_of(view: Callable[..., Any]) -> Interface:
    """What a view declares; nothing for a page without fields."""
    declared: Interface = vars(view).get("interface", Interface())
    return declared
