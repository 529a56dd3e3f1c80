"""What an administrator, a script or the command line does to an account. `actor` says who, for the history."""

from __future__ import annotations

import time

from nipo_auth_mw.errors import NoSuchAccount, NotSupported
from nipo_auth_mw.models import Event, User
from nipo_auth_mw.parts import emails
from nipo_auth_mw.parts.recorder import Record, event
from nipo_auth_mw.parts.revocation import end_everything, lift_lock
from nipo_auth_mw.parts.services import Services
from nipo_auth_mw.protocols import Account, StaffDirectory


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
    actor: str,
) -> User:
    """A new account. Without a password nobody can sign in to it until one is set.

    Raises `EmailTaken`, `EmailRejected`, `PasswordRejected`, `NotSupported`.
    """
    directory = _directory(services)
    address = emails.accepted(email)
    notify = emails.accepted(notify_email) if notify_email else None
    if language is not None and language not in services.config.languages:
        raise ValueError(f"language: {language!r} is not among {tuple(services.config.languages)}")
    hashed = None
    if password is not None:
        services.passwords.check(password, about=(address, name))
        hashed = services.passwords.hash(password)
    with services.recorder.transaction() as record:
        account = directory.create(email=address, password_hash=hashed, name=name, role=role, active=active)
        if notify or language:
            services.session_store.set_profile(account.id, language=language, notify_email=notify)
        _note(record, "account_created", account, actor, role=role)
    return user_of(services, account)


def set_password(services: Services, user_id: str, password: str, *, actor: str) -> None:
    """Set a password by force: the old one, every session and every lock of the account end at once."""
    account = _account(services, user_id)
    services.passwords.check(password, about=(account.email, account.name or ""))
    hashed = services.passwords.hash(password)
    with services.recorder.transaction() as record:
        while not services.users.set_password_hash(user_id, hashed, expected=account.password_hash):
            account = _account(services, user_id)
        end_everything(services, account, why="password_changed", record=record, actor=actor)
        _note(record, "password_changed", account, actor)
    lift_lock(services, account, actor=actor)


def set_active(services: Services, user_id: str, active: bool, *, actor: str) -> None:
    """Enable or disable. Disabling ends every session at once; enabling brings none back."""
    account = _account(services, user_id)
    if bool(account.active) == active:
        return
    with services.recorder.transaction() as record:
        if not _directory(services).update(user_id, active=active):
            raise NoSuchAccount(user_id)
        _note(record, "account_enabled" if active else "account_disabled", account, actor)
        end_everything(services, account, why="account_disabled", record=record, actor=actor)


def change_email(services: Services, user_id: str, email: str, *, actor: str) -> None:
    """Give the account another address; every session ends. Raises `EmailTaken`, `EmailRejected`."""
    address = emails.accepted(email)
    account = _account(services, user_id)
    if services.email_store is None:
        raise NotSupported("the user store has no set_email")
    with services.recorder.transaction() as record:
        while not services.email_store.set_email(user_id, address, expected=account.email):
            account = _account(services, user_id)
        end_everything(services, account, why="email_changed", record=record, actor=actor)
        _note(record, "email_changed", account, actor, to=address)


def set_role(services: Services, user_id: str, role: str, *, actor: str) -> None:
    """Give another role, effective at the person's next request."""
    account = _account(services, user_id)
    with services.recorder.transaction() as record:
        _directory(services).update(user_id, role=role)
        _note(record, "role_changed", account, actor, before=account.role, after=role)


def delete_account(services: Services, user_id: str, *, actor: str) -> None:
    """Remove the account and free its address. Its rows in the history stay."""
    account = _account(services, user_id)
    with services.recorder.transaction() as record:
        if not _directory(services).delete(user_id):
            raise NoSuchAccount(user_id)
        end_everything(services, account, why="account_deleted", record=record, actor=actor)
        services.session_store.set_profile(user_id, language=None, notify_email=None)
        _note(record, "account_deleted", account, actor)


def unlock(services: Services, user_id: str, *, actor: str) -> None:
    """Clear the count of wrong passwords and the lock of the account's address."""
    lift_lock(services, _account(services, user_id), actor=actor)


def find(services: Services, email: str) -> User | None:
    address = emails.canonical(email)
    account = services.users.find_by_email(address) if address else None
    return user_of(services, account) if account else None


def get(services: Services, user_id: str) -> User | None:
    account = services.users.get(user_id)
    return user_of(services, account) if account else None


def search(services: Services, text: str, *, after: str | None, limit: int) -> list[User]:
    found = _directory(services).search(text, after=after, limit=limit)
    return [user_of(services, account) for account in found]


def user_of(services: Services, account: Account) -> User:
    """The account as an app may see it: without its hash, with our notes."""
    notes = services.session_store.notes_of(account.id)
    return User(
        account.id,
        account.email,
        bool(account.active),
        account.name or "",
        account.role,
        notes.language,
        notes.notify_email,
    )


def _account(services: Services, user_id: str) -> Account:
    account = services.users.get(user_id)
    if account is None:
        raise NoSuchAccount(user_id)
    return account


def _directory(services: Services) -> StaffDirectory:
    if services.directory is None:
        raise NotSupported("the user store is no StaffDirectory (create, update, delete, search)")
    return services.directory


def _note(record: Record, name: str, account: Account, actor: str, **details: str | int) -> None:
    record(_row(name, account, actor, **details))


def _row(name: str, account: Account, actor: str, **details: str | int) -> Event:
    return event(name, time=time.time(), user_id=account.id, email=account.email, actor=actor, details=details)
