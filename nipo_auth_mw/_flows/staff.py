"""The actions of an administrator, a script or the command line on an account."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from nipo_auth_mw import models
from nipo_auth_mw._audit.events import EventGroup, EventType, Record
from nipo_auth_mw._flows.account_state import change_account_state, remove_attributes
from nipo_auth_mw._flows.email_change import EMAIL_CHANGED
from nipo_auth_mw._flows.new_password import check_new_password, reading_of
from nipo_auth_mw._flows.outcomes import TOO_MANY_CHANGES, Refused
from nipo_auth_mw._flows.password_change import PASSWORD_CHANGED
from nipo_auth_mw._flows.profile import PROFILE_CHANGED, allow_notify_email_mails, new_notify_email
from nipo_auth_mw._flows.revocation import end_everything, lift_lock, lift_lock_soon
from nipo_auth_mw._flows.second_check import lift_second_lock
from nipo_auth_mw._flows.staff_accounts import account_with, user_in
from nipo_auth_mw._flows.staff_actor import ADMIN, Actor, directory_of, keep_an_admin, still_allowed, too_many_mails
from nipo_auth_mw._lines import person_name
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import EmailTaken, NoSuchAccount, NotSupported, StoreUnavailable, UnknownRole
from nipo_auth_mw.models import AccountState, Client, User
from nipo_auth_mw.protocols import Account
from nipo_auth_mw.stores._folding import READING

ACCOUNT_CREATED = EventType("account_created", EventGroup.STAFF)
ACCOUNT_ENABLED = EventType("account_enabled", EventGroup.STAFF)
ACCOUNT_DISABLED = EventType("account_disabled", EventGroup.STAFF)
ACCOUNT_DELETED = EventType("account_deleted", EventGroup.STAFF)
ROLE_CHANGED = EventType("role_changed", EventGroup.STAFF)

CHANGE_WITHIN = timedelta(days=7)
"""How long a temporary password works (ASVS 5 6.4.1)."""
LONGEST_MEMO = 2000
_UNLOCKS_OF = 10
TOO_MANY_UNLOCKS = Refused("too_many_attempts", retry_after=3600, detail="unlocks")


def create_account(
    services: Services,
    *,
    email: str,
    password: str | None,
    name: str,
    role: str,
    active: bool,
    notify_email: str | None,
    language: str | None,
    actor: Actor,
    must_change: bool = False,
    memo: str = "",
    password_hash: str | None = None,
    reading: str = "",
    first: Callable[[Account], Mapping[str, Any]] = lambda _account: {},
    also: Callable[[Account, AccountState, Record], None] = lambda _account, _state, _record: None,
) -> User:
    """Create an account and return it. Without a password no sign-in works until one is set.

    `password_hash` is a hash that exists already. `first` gives further attributes of the account's state, and `also`
    is called in the end; both in the same transaction. Raises `EmailTaken`, `EmailRejected`, `PasswordRejected`,
    `HashRejected`, `UnknownRole`, `NotAllowed`, `NotSupported`, and `ValueError` for a language that is not configured,
    or for a password and a hash at once.
    """
    directory, name = directory_of(services), person_name(name)
    address = services.addresses.accepted(email)
    notify = services.addresses.receiving(notify_email) if notify_email else None
    _check_role(services, role)
    if language is not None and language not in services.config.languages:
        raise ValueError(f"language: {language!r} is not among {tuple(services.config.languages)}")
    hashed = services.hashing.accepted(password_hash)
    if password is not None:
        if password_hash is not None:
            raise ValueError("password and password_hash exclude each other")
        check_new_password(services, password, address, name, reading)
        hashed = services.hashing.hash(password)
    with services.log.transaction() as record:
        still_allowed(services, actor)
        account = directory.create(email=address, password_hash=hashed, name=name, role=role, active=active)
        deadline = _change_deadline() if must_change and hashed is not None else None
        state = change_account_state(
            services,
            account.id,
            language=language,
            notify_email=notify,
            password_change_deadline=deadline,
            memo=memo[:LONGEST_MEMO],
            **{READING: person_name(reading), **first(account)},
        )
        record(ACCOUNT_CREATED, subject=account, **_by(actor), role=role)
        also(account, state, record)
    return user_in(account, state)


def check_new_account(services: Services, email: str, role: str) -> None:
    """Check what `create_account` would refuse before it sees a password. Writes nothing.

    Raises `EmailRejected`, `EmailTaken`, `UnknownRole`, `NotSupported`.
    """
    directory_of(services)
    _check_role(services, role)
    address = services.addresses.accepted(email)
    if services.users.find_by_email(address) is not None:
        raise EmailTaken("another account has this address")


def set_password(
    services: Services, user_id: str, password: str, *, actor: Actor, must_change: bool = False
) -> Refused | None:
    """Set a password. Every session, link and lock of the account ends at once, and its owner is notified.

    With `must_change` the password is temporary: the user has to choose another at the next sign-in, within seven days.
    Returns None on success. Raises `NoSuchAccount`, `NotOneself`, `NotAllowed`, `PasswordRejected`.
    """
    account = account_with(services, user_id, actor)
    before = services.account_states.account_state(user_id)
    check_new_password(services, password, account.email, account.name, reading_of(before))
    notify = before.notify_email
    try:
        # A hundred passwords of a hundred accounts are a day's work; one set again and again floods its owner.
        refused = too_many_mails(services, actor, account, "password set", account.email, notify, limit_actor=False)
    except StoreUnavailable:
        # Counters out of reach count no mails, and keep no administrator from replacing a stolen password.
        refused = None
    if refused:
        return refused
    hashed = services.hashing.hash(password)
    with services.log.transaction() as record:
        still_allowed(services, actor)
        # First, since a host app's user table may commit each change at once: no password is set that is not told.
        state = services.account_states.account_state(user_id)
        services.notifications.password_set(account, state, actor.client or Client())
        while not services.users.set_password_hash(user_id, hashed, expected=account.password_hash):
            account = account_with(services, user_id, actor)
        _end(services, account, why="password_changed", record=record, actor=actor)
        deadline = _change_deadline() if must_change else None
        ended = {"invited_until": None, "invited_at": None, "unlocks": state.unlocks + 1}
        change_account_state(services, user_id, password_change_deadline=deadline, **ended)
        record(PASSWORD_CHANGED, subject=account, **_by(actor))
    lift_lock_soon(services, account, actor=actor.name, client=actor.client)
    return None


def set_active(services: Services, user_id: str, active: bool, *, actor: Actor) -> None:
    """Enable or disable the account. Disabling ends every session at once; enabling restores none (ASVS 5 7.4.2).

    Raises `NoSuchAccount`, `NotOneself`, `NotAllowed`, `LastAdmin`, `NotSupported`.
    """
    account = account_with(services, user_id, actor)
    if bool(account.active) == active:
        return
    with services.log.transaction() as record:
        still_allowed(services, actor)
        if not active:
            keep_an_admin(services, account, actor)
        _update(services, user_id, active=active)
        record(ACCOUNT_ENABLED if active else ACCOUNT_DISABLED, subject=account, **_by(actor))
        _end(services, account, why="account_disabled", record=record, actor=actor)


def change_email(services: Services, user_id: str, email: str, *, actor: Actor) -> Refused | None:
    """Change the address of sign-in, end every session and notify the owner. Returns None on success.

    Raises `EmailTaken`, `EmailRejected`, `NoSuchAccount`, `NotOneself`, `NotAllowed`, `NotSupported`.
    """
    address = services.addresses.accepted(email)
    account = account_with(services, user_id, actor)
    if services.email_store is None:
        raise NotSupported("the user store has no set_email")
    notify = services.account_states.account_state(user_id).notify_email
    if refused := too_many_mails(services, actor, account, "email set", account.email, address, notify):
        return refused
    with services.log.transaction() as record:
        still_allowed(services, actor)
        while not services.email_store.set_email(user_id, address, expected=account.email):
            account = account_with(services, user_id, actor)
        _end(services, account, why="email_changed", record=record, actor=actor)
        record(EMAIL_CHANGED, subject=account, **_by(actor), to=address)
        state = services.account_states.account_state(user_id)
        services.notifications.email_set(account, state, actor.client or Client(), new=address)
    return None


def set_role(services: Services, user_id: str, role: str, *, actor: Actor) -> None:
    """Set the role, from the user's next request on.

    Raises `UnknownRole`, `NoSuchAccount`, `NotOneself`, `NotAllowed`, `LastAdmin`, `NotSupported`.
    """
    _check_role(services, role)
    account = account_with(services, user_id, actor)
    with services.log.transaction() as record:
        still_allowed(services, actor)
        if role != ADMIN:
            keep_an_admin(services, account, actor)
        _update(services, user_id, role=role)
        record(ROLE_CHANGED, subject=account, **_by(actor), before=account.role, after=role)


def change_profile(
    services: Services,
    user_id: str,
    *,
    name: str | None,
    memo: str | None,
    notify_email: str | None,
    actor: Actor,
    reading: str | None = None,
) -> Refused | None:
    """Write the values that are given. None leaves a value as it is, and "" removes it. Returns None on success.

    All addresses of the account are told of a new notification address. Raises `NoSuchAccount`, `NotAllowed`,
    `NotSupported`.
    """
    account = account_with(services, user_id, None)
    before = services.account_states.account_state(user_id)
    notify = new_notify_email(services, notify_email, before, actor.session)
    if isinstance(notify, Refused):
        return notify
    wanted = {"memo": before.memo if memo is None else memo[:LONGEST_MEMO], "notify_email": notify}
    changes = {key: value for key, value in wanted.items() if value != getattr(before, key)}
    if reading is not None and person_name(reading) != reading_of(before):
        changes[READING] = person_name(reading)
    new_name = None if name is None else person_name(name)
    renamed = new_name is not None and new_name != (account.name or "")
    if not changes and not renamed:
        return None
    elsewhere, to = "notify_email" in changes, (account.email, before.notify_email, notify)
    if elsewhere and actor.client is not None and not allow_notify_email_mails(services, actor.name, *to):
        return TOO_MANY_CHANGES
    with services.log.transaction() as record:
        still_allowed(services, actor)
        if renamed:
            _update(services, user_id, name=new_name)
        after = change_account_state(services, user_id, **changes) if changes else before
        what = [*(["name"] if renamed else []), *changes]
        record(PROFILE_CHANGED, subject=account, **_by(actor), what=" ".join(what))
        if elsewhere:
            services.notifications.notify_email_changed(account, before, after, actor.client or Client())
    return None


def delete_account(services: Services, user_id: str, *, actor: Actor) -> None:
    """Delete the account, what is stored beside it, and its proofs of the second step; free its address. Its rows in
    the audit log stay.

    Of an account that the host app has deleted in a table of its own, it deletes what is stored beside it: a table may
    give the id to another person, whom the former user's passkey would sign in as. Raises `NoSuchAccount`,
    `NotOneself`, `NotAllowed`, `LastAdmin`, `NotSupported`.
    """
    if services.directory is None and isinstance(user_id, str) and services.users.get(user_id) is None:
        _forget(services, user_id, actor)
        return
    account = account_with(services, user_id, actor)
    with services.log.transaction() as record:
        still_allowed(services, actor)
        keep_an_admin(services, account, actor)
        if not directory_of(services).delete(user_id):
            raise NoSuchAccount.of(user_id)
        _delete_beside(services, account, record, actor)


def unlock(services: Services, user_id: str, *, actor: Actor) -> Refused | None:
    """Clear the counts and the locks of the account's address, of its second step and of its known devices. Returns
    None on success.

    An administrator unlocks an account ten times an hour at most: an attacker who has their session could guess a
    password or a code of the second step without end, in turns with unlocks. Raises `NoSuchAccount`, `NotOneself` and
    `NotAllowed`.
    """
    still_allowed(services, actor)
    account = account_with(services, user_id, actor)
    quota = services.quotas.allow_about
    if actor.client is not None and not quota(account.id, "unlock", an_hour=_UNLOCKS_OF, spaced=False):
        return TOO_MANY_UNLOCKS
    state = services.account_states.account_state(user_id)
    change_account_state(services, user_id, unlocks=state.unlocks + 1)
    lift_lock(services, account, actor=actor.name, client=actor.client)
    lift_second_lock(services, account, actor=actor.name, client=actor.client)
    return None


def _check_role(services: Services, role: str) -> None:
    """Raise `UnknownRole` for a role that is not configured: the host app would refuse its user everything."""
    if role not in services.config.roles:
        raise UnknownRole(f"{role!r} is not in the setting `roles`: {', '.join(services.config.roles)}")


def _update(services: Services, user_id: str, **changes: Any) -> None:
    """Write these attributes of the account. Raises `NoSuchAccount` if it was deleted meanwhile."""
    if not directory_of(services).update(user_id, **changes):
        raise NoSuchAccount.of(user_id)


def _end(services: Services, account: Account, *, why: str, record: Record, actor: Actor) -> None:
    """End every session and link, including links that could cancel a change of address."""
    end_everything(services, account, why=why, record=record, actor=actor.name)
    if services.email_changes is not None:
        services.email_changes.void_email_changes(account.id)


def _forget(services: Services, user_id: str, actor: Actor) -> None:
    """Delete what is stored beside a user whom the host app has deleted in a table of its own. If nothing is, nothing
    happens: an app calls this after each deletion."""
    state, sessions = services.account_states.account_state(user_id), services.session_store.sessions_of(user_id)
    # An account with a factor has attributes.
    if state.attributes or sessions:
        with services.log.transaction() as record:
            still_allowed(services, actor)
            _delete_beside(services, models.Account(user_id, "", None, active=False), record, actor)


def _delete_beside(services: Services, account: Account, record: Record, actor: Actor) -> None:
    """Delete what is stored beside an account that is gone, and record it."""
    _end(services, account, why="account_deleted", record=record, actor=actor)
    remove_attributes(services, account.id)
    if services.factor_store is not None:
        services.factor_store.remove_factors(account.id)
    record(ACCOUNT_DELETED, subject=account, **_by(actor), name=account.name or "")


def _by(actor: Actor) -> dict[str, Any]:
    """The actor as `Record` takes it."""
    return {"client": actor.client, "actor": actor.name}


def _change_deadline() -> float:
    """When a temporary password that is set now stops working, in seconds since the epoch."""
    return time.time() + CHANGE_WITHIN.total_seconds()
