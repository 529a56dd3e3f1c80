"""How people and sessions look in JSON."""

from __future__ import annotations

from typing import Any

from nipo_auth_mw.flows.staff import Person
from nipo_auth_mw.models import AccountNotes, Event, Session, User
from nipo_auth_mw.protocols import Account


def user_data(user: User | Account, notes: AccountNotes | None = None) -> dict[str, Any]:
    """A person as JSON; `notes` where the account alone does not hold them. Never the hash."""
    extra = user if isinstance(user, User) else notes or AccountNotes()
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name or "",
        "role": user.role,
        "language": extra.language,
        "notify_email": extra.notify_email,
    }


def person_data(person: Person) -> dict[str, Any]:
    """A person as an administrator sees them."""
    extra = {"active": person.user.active, "memo": person.memo}
    return user_data(person.user) | extra | {"must_change": person.must_change, "locked": person.locked}


def session_data(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "created_at": session.created_at.isoformat(),
        "seen_at": session.seen_at.isoformat(),
        "kept": session.kept,
        "client_address": session.client_address,
        "user_agent": session.user_agent,
    }


def event_data(event: Event) -> dict[str, Any]:
    return {
        "time": event.time.isoformat(),
        "event": event.event,
        "user_id": event.user_id,
        "email": event.email,
        "session": event.session,
        "client_address": event.client_address,
        "user_agent": event.user_agent,
        "actor": event.actor,
        "details": dict(event.details),
    }
