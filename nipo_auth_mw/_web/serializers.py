"""Users, sessions and proofs as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NotRequired, TypedDict

from nipo_auth_mw._flows.staff_list import Row
from nipo_auth_mw._flows.staff_person import Person
from nipo_auth_mw._flows.two_step import Proof
from nipo_auth_mw.models import AccountState, Session, User
from nipo_auth_mw.protocols import Account


class UserData(TypedDict):
    """A user."""

    id: str
    email: str
    name: str
    role: str
    language: str | None
    notify_email: str | None


class ListedUserData(UserData):
    """A user in a list of accounts."""

    active: bool


class RowData(ListedUserData):
    """A row of the staff list. `last_used` is ISO 8601, in UTC; `devices` is how many are signed in now."""

    reading: str
    last_used: str | None
    devices: int
    must_change: bool
    locked: bool
    two_step: bool


class PersonData(ListedUserData):
    """An account as an administrator sees it. `locked`: wrong passwords lock it. `second_locked`: wrong codes do."""

    memo: str
    must_change: bool
    locked: bool
    second_locked: bool
    invited_until: str | None


class KnownData(RowData):
    """An account with all that its page shows."""

    memo: str
    second_locked: bool
    invited_until: str | None


class SessionData(TypedDict):
    """A session. `means` is what the user has proved. Times are ISO 8601, in UTC."""

    id: str
    created_at: str
    seen_at: str
    persistent: bool
    client_address: str
    user_agent: str
    means: list[str]
    second_at: str | None


PROOFS: Final = {"second": list[str], "options": NotRequired[dict[str, Any]]}
"""The answer of `proofs_data`."""


def proofs_data(kinds: Iterable[str], options: dict[str, Any] | None) -> dict[str, Any]:
    """What a front end asks its user for: the kinds of the second step, and `options` if a passkey of the account will
    do, for `PublicKeyCredential.parseRequestOptionsFromJSON`."""
    return {"second": list(kinds), **({"options": options} if options else {})}


class FactorData(TypedDict):
    """A proof of the second step. `kind` is `app` or `passkey`. Times are ISO 8601, in UTC."""

    id: str
    kind: str
    name: str
    created_at: str
    used_at: str | None


def user_data(user: User | Account, state: AccountState | None = None) -> UserData:
    """The user as JSON, without the password hash. An `Account` takes language and address from `state`."""
    extra = user if isinstance(user, User) else state or AccountState()
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name or "",
        "role": user.role,
        "language": extra.language,
        "notify_email": extra.notify_email,
    }


def listed_user_data(user: User | Account) -> ListedUserData:
    """The user as JSON in a list of accounts."""
    return {**user_data(user), "active": user.active}


def person_data(person: Person) -> PersonData:
    """The account as JSON for an administrator."""
    return {
        **listed_user_data(person.user),
        "memo": person.memo,
        "must_change": person.must_change,
        "locked": person.locked,
        "second_locked": person.second_locked,
        "invited_until": person.invitation.ends.isoformat() if person.invitation else None,
    }


def row_data(row: Row) -> RowData:
    """A row of the staff list as JSON."""
    return {
        **listed_user_data(row.user),
        "reading": row.reading,
        "last_used": row.last_used.isoformat() if row.last_used else None,
        "devices": len(row.sessions),
        "must_change": row.temporary,
        "locked": row.locked,
        "two_step": row.two_step,
    }


def known_data(person: Person, row: Row) -> KnownData:
    """What the page of an account shows, as JSON."""
    return {**row_data(row), **person_data(person)}


def session_data(session: Session) -> SessionData:
    """The session as JSON. Times are ISO 8601, in UTC."""
    return {
        "id": session.id,
        "created_at": session.created_at.isoformat(),
        "seen_at": session.seen_at.isoformat(),
        "persistent": session.persistent,
        "client_address": session.client_address,
        "user_agent": session.user_agent,
        "means": list(session.means),
        "second_at": session.second_at.isoformat() if session.second_at else None,
    }


def factor_data(proof: Proof) -> FactorData:
    """The proof as JSON, without its secret or key."""
    return {
        "id": proof.key,
        "kind": proof.kind,
        "name": proof.name,
        "created_at": proof.created_at.isoformat(),
        "used_at": proof.used_at.isoformat() if proof.used_at else None,
    }
