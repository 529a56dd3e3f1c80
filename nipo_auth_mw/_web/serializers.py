"""Users and sessions as JSON."""

from __future__ import annotations

from typing import Any

from nipo_auth_mw._flows.staff import Person
from nipo_auth_mw.models import AccountState, Session, User
from nipo_auth_mw.protocols import Account


def user_data(user: User | Account, state: AccountState | None = None) -> dict[str, Any]:
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


def person_data(person: Person) -> dict[str, Any]:
    """The account as JSON for an administrator."""
    extra = {"active": person.user.active, "memo": person.memo}
    return user_data(person.user) | extra | {"must_change": person.must_change, "locked": person.locked}


def session_data(session: Session) -> dict[str, Any]:
    """The session as JSON. Times are ISO 8601, in UTC."""
    return {
        "id": session.id,
        "created_at": session.created_at.isoformat(),
        "seen_at": session.seen_at.isoformat(),
        "persistent": session.persistent,
        "client_address": session.client_address,
        "user_agent": session.user_agent,
    }
