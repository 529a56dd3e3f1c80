"""Everything a use case needs, built once at construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from limits.storage import Storage

from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.mailers.console import ConsoleMailer
from nipo_auth_mw.parts.chores import Chore
from nipo_auth_mw.parts.devices import Devices
from nipo_auth_mw.parts.links import EMAIL_LASTS, RESET_LASTS, Links
from nipo_auth_mw.parts.lockout import Lockout, open_counters
from nipo_auth_mw.parts.notices import Notices
from nipo_auth_mw.parts.outbox import Outbox
from nipo_auth_mw.parts.pages import Pages
from nipo_auth_mw.parts.passwords import Passwords
from nipo_auth_mw.parts.recorder import Recorder
from nipo_auth_mw.parts.seals import Seals
from nipo_auth_mw.parts.sessions import Sessions
from nipo_auth_mw.parts.signing import Keyed, Signed
from nipo_auth_mw.parts.stamps import Stamps
from nipo_auth_mw.parts.worker import Worker
from nipo_auth_mw.protocols import (
    AuditLog,
    EmailChangeStore,
    EmailStore,
    Listener,
    Mailer,
    PasswordHasher,
    SessionStore,
    StaffDirectory,
    UserStore,
)
from nipo_auth_mw.stores.memory import MemoryStore

T = TypeVar("T")
_SEALS_AFTER = 30.0


@dataclass(frozen=True, slots=True, repr=False)
class Services:
    """A frozen bundle. `directory`, `email_store` and `email_changes` are None where a store lacks the capability."""

    config: AuthConfig
    users: UserStore
    directory: StaffDirectory | None
    email_store: EmailStore | None
    email_changes: EmailChangeStore | None
    session_store: SessionStore
    audit: AuditLog
    sessions: Sessions
    devices: Devices
    lockout: Lockout
    passwords: Passwords
    reset_links: Links
    email_links: Links
    cancel_links: Signed
    notices: Notices
    outbox: Outbox
    recorder: Recorder
    seals: Seals
    worker: Worker


def build(
    config: AuthConfig,
    pages: Pages,
    *,
    store: object | None,
    users: UserStore | None,
    sessions: SessionStore | None,
    audit: AuditLog | None,
    mailer: Mailer | None,
    hasher: PasswordHasher | None,
    listeners: Sequence[Listener],
) -> Services:
    """Put the parts together. Raises `ConfigError` for a collaborator that is missing or lacks a method."""
    users = _need(users, store, UserStore, "users")  # type: ignore[type-abstract]
    session_store = _need(sessions, store, SessionStore, "sessions")  # type: ignore[type-abstract]
    log = _need(audit, store, AuditLog, "audit")  # type: ignore[type-abstract]
    if mailer is not None:
        mailer = _need(mailer, None, Mailer, "mailer")  # type: ignore[type-abstract]
    if isinstance(mailer, ConsoleMailer) and config.secure:
        raise ConfigError(
            "mailer", "ConsoleMailer would write links that set passwords into a log", "Use SMTPMailer, or your own."
        )
    for listener in listeners:
        if not callable(listener):
            raise ConfigError(
                "listeners", f"{type(listener).__name__} cannot be called", "Give functions of one event."
            )

    def keyed(purpose: str) -> Keyed:
        return Keyed(config.secrets, purpose, config.realm)

    def signed(purpose: str) -> Signed:
        return Signed(config.secrets, purpose, config.realm)

    counters = open_counters(
        config.lockout, _counters_of(session_store, store), memory_allowed=isinstance(store, MemoryStore)
    )
    worker = Worker()
    # Without the realm: two set-ups may share one history.
    row_keys, seal_keys = (Keyed(config.secrets, f"history {what}") for what in ("row", "seal"))
    seals = Seals(log, row_keys, seal_keys, config.history_kept)
    sealing = Chore(worker, seals.seal, after=_SEALS_AFTER, every=_SEALS_AFTER)
    then = sealing.due if seals.possible else lambda: None
    recorder = Recorder(log, listeners, [users, session_store], keyed("mask"), seals, then)
    stamps = Stamps(keyed("session stamp"))
    outbox = Outbox(mailer)

    def links(purpose: str, lasts: timedelta) -> Links:
        return Links(signed(purpose), Stamps(keyed(f"{purpose} stamp")), users, session_store, lasts)

    return Services(
        config=config,
        users=users,
        directory=users if isinstance(users, StaffDirectory) else None,
        email_store=users if isinstance(users, EmailStore) else None,
        email_changes=session_store if isinstance(session_store, EmailChangeStore) else None,
        session_store=session_store,
        audit=log,
        sessions=Sessions(config.session, session_store, users, signed("session"), stamps, recorder, worker),
        devices=Devices(signed("device"), Stamps(keyed("device stamp")), keyed("device mark")),
        lockout=Lockout(config.lockout, counters, keyed("counter")),
        passwords=Passwords(config.passwords, hasher, config.site_name),
        reset_links=links("reset", RESET_LASTS),
        email_links=links("email confirm", EMAIL_LASTS),
        cancel_links=signed("email cancel"),
        notices=Notices(config, pages, outbox),
        outbox=outbox,
        recorder=recorder,
        seals=seals,
        worker=worker,
    )


def _need(given: object | None, store: object | None, protocol: type[T], field: str) -> T:
    """The collaborator given for `field`, else `store`; it must have the protocol's methods."""
    if isinstance(store, str):
        raise ConfigError("store", "is a text, not a store", 'Write store=SQLStore("…") with it.')
    or_store = "" if store is None and given is not None else ", or a store= that has them"
    given = store if given is None else given
    mend = f"Give {field}={or_store}; nipo_auth_mw.protocols.{protocol.__name__} lists the methods."
    if given is None:
        raise ConfigError(field, "is missing", mend)
    if isinstance(given, type):
        raise ConfigError(field, f"{given.__name__} is a class", f"Give an object of it: {given.__name__}(...).")
    if not isinstance(given, protocol):
        members = [name for name in protocol.__dict__ if not name.startswith("_")]
        missing = [name for name in members if not hasattr(given, name)]
        raise ConfigError(field, f"{type(given).__name__} lacks {', '.join(missing)}", mend)
    return given


def _counters_of(*stores: object | None) -> Storage | None:
    found = (getattr(store, "counters", None) for store in stores)
    return next((counters for counters in found if isinstance(counters, Storage)), None)
