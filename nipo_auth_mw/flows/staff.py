"""What an administrator, a script or the command line does to an account."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

from nipo_auth_mw.errors import LastAdmin, NoSuchAccount, NotOneself, NotSupported, UnknownRole
from nipo_auth_mw.models import AccountNotes, Client, User
from nipo_auth_mw.parts import emails
from nipo_auth_mw.parts.recorder import Record, event
from nipo_auth_mw.parts.revocation import end_everything, lift_lock
from nipo_auth_mw.parts.services import Services
from nipo_auth_mw.protocols import Account, RoleHolders, StaffDirectory

ADMIN = "admin"
CHANGE_WITHIN = timedelta(days=7)
"""How long a password that somebody else has set lets its owner in (ASVS 5 6.4.1)."""
_AT_ONCE, _ENOUGH = 500, 2
_LONGEST_NAME, _LONGEST_MEMO = 100, 2000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, for the history. With `client` it is an administrator in a browser, who must not act against
    themselves or take the last administrator away; a script and the command line may."""

    name: str
    client: Client | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """An account as the staff pages show it. `locked`: wrong passwords keep new devices out now."""

    user: User
    memo: str
    must_change: bool
    locked: bool


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
) -> User:
    """A new account. Without a password nobody can sign in to it until one is set.

    Raises `EmailTaken`, `EmailRejected`, `PasswordRejected`, `UnknownRole`, `NotSupported`.
    """
    directory = _directory(services)
    address = emails.accepted(email)
    notify = emails.accepted(notify_email) if notify_email else None
    _check_role(services, role, actor)
    if language is not None and language not in services.config.languages:
        raise ValueError(f"language: {language!r} is not among {tuple(services.config.languages)}")
    hashed = None
    if password is not None:
        services.passwords.check(password, about=(address, name))
        hashed = services.passwords.hash(password)
    with services.recorder.transaction() as record:
        account = directory.create(
            email=address, password_hash=hashed, name=name[:_LONGEST_NAME], role=role, active=active
        )
        if notify or language:
            services.session_store.set_profile(account.id, language=language, notify_email=notify)
        if must_change and password is not None:
            services.session_store.set_change_by(account.id, time.time() + CHANGE_WITHIN.total_seconds())
        if memo:
            services.session_store.set_memo(account.id, memo[:_LONGEST_MEMO])
        _note(record, "account_created", account, actor, role=role)
    return user_of(services, account)


def set_password(services: Services, user_id: str, password: str, *, actor: Actor, must_change: bool = False) -> None:
    """Set a password by force: the old one, every session and every lock of the account end at once.

    With `must_change` the person has to choose another at their next sign-in, within seven days.
    """
    account = _account(services, user_id, actor)
    services.passwords.check(password, about=(account.email, account.name or ""))
    hashed = services.passwords.hash(password)
    with services.recorder.transaction() as record:
        while not services.users.set_password_hash(user_id, hashed, expected=account.password_hash):
            account = _account(services, user_id, actor)
        _end(services, account, why="password_changed", record=record, actor=actor)
        change_by = time.time() + CHANGE_WITHIN.total_seconds() if must_change else None
        services.session_store.set_change_by(user_id, change_by)
        _note(record, "password_changed", account, actor)
    lift_lock(services, account, actor=actor.name, client=actor.client)
    notes = services.session_store.notes_of(user_id)
    services.notices.password_set(account, notes, actor.client or Client())


def set_active(services: Services, user_id: str, active: bool, *, actor: Actor) -> None:
    """Enable or disable. Disabling ends every session at once; enabling brings none back."""
    account = _account(services, user_id, actor)
    if bool(account.active) == active:
        return
    with services.recorder.transaction() as record:
        if not active:
            _keep_an_admin(services, account, actor)
        if not _directory(services).update(user_id, active=active):
            raise NoSuchAccount(user_id)
        _note(record, "account_enabled" if active else "account_disabled", account, actor)
        _end(services, account, why="account_disabled", record=record, actor=actor)


def change_email(services: Services, user_id: str, email: str, *, actor: Actor) -> None:
    """Give the account another address; every session ends. Raises `EmailTaken`, `EmailRejected`."""
    address = emails.accepted(email)
    account = _account(services, user_id, actor)
    if services.email_store is None:
        raise NotSupported("the user store has no set_email")
    with services.recorder.transaction() as record:
        while not services.email_store.set_email(user_id, address, expected=account.email):
            account = _account(services, user_id, actor)
        _end(services, account, why="email_changed", record=record, actor=actor)
        _note(record, "email_changed", account, actor, to=address)
    notes = services.session_store.notes_of(user_id)
    services.notices.email_set(account, notes, actor.client or Client(), new=address)


def set_role(services: Services, user_id: str, role: str, *, actor: Actor) -> None:
    """Give another role, effective at the person's next request."""
    _check_role(services, role, actor)
    account = _account(services, user_id, actor)
    with services.recorder.transaction() as record:
        if role != ADMIN:
            _keep_an_admin(services, account, actor)
        _directory(services).update(user_id, role=role)
        _note(record, "role_changed", account, actor, before=account.role, after=role)


def change_profile(
    services: Services, user_id: str, *, name: str | None, memo: str | None, notify_email: str | None, actor: Actor
) -> None:
    """Write what is given, None leaving it as it is and "" taking it away. A new address for notices is told to all
    who knew. Raises `EmailRejected`."""
    account = _account(services, user_id, None)
    before = services.session_store.notes_of(user_id)
    notify = before.notify_email
    if notify_email is not None:
        notify = emails.accepted(notify_email) if notify_email.strip() else None
    memo_before = services.session_store.memos_of([user_id]).get(user_id, "")
    changed = {
        "name": name is not None and name != (account.name or ""),
        "memo": memo is not None and memo != memo_before,
        "notify_email": notify != before.notify_email,
    }
    what = [word for word, is_new in changed.items() if is_new]
    if not what:
        return
    with services.recorder.transaction() as record:
        if changed["name"]:
            _directory(services).update(user_id, name=str(name)[:_LONGEST_NAME])
        if changed["memo"]:
            services.session_store.set_memo(user_id, str(memo)[:_LONGEST_MEMO])
        if changed["notify_email"]:
            services.session_store.set_profile(user_id, language=before.language, notify_email=notify)
        _note(record, "profile_changed", account, actor, what=" ".join(what))
    if changed["notify_email"]:
        after = before._replace(notify_email=notify)
        services.notices.notify_email_changed(account, before, after, actor.client or Client())


def delete_account(services: Services, user_id: str, *, actor: Actor) -> None:
    """Remove the account and free its address. Its rows in the history stay."""
    account = _account(services, user_id, actor)
    with services.recorder.transaction() as record:
        _keep_an_admin(services, account, actor)
        if not _directory(services).delete(user_id):
            raise NoSuchAccount(user_id)
        _end(services, account, why="account_deleted", record=record, actor=actor)
        services.session_store.set_profile(user_id, language=None, notify_email=None)
        services.session_store.set_memo(user_id, "")
        _note(record, "account_deleted", account, actor)


def unlock(services: Services, user_id: str, *, actor: Actor) -> None:
    """Clear the count of wrong passwords and the lock of the account's address."""
    lift_lock(services, _account(services, user_id, None), actor=actor.name, client=actor.client)


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


def listed(services: Services, text: str, *, after: str | None, limit: int) -> list[User]:
    """As `search`, without what is kept beside the accounts: one statement, however long the page."""
    nothing = AccountNotes()
    return [_user(account, nothing) for account in _directory(services).search(text, after=after, limit=limit)]


def look_at(services: Services, user_id: str) -> Person:
    """Everything about one account that an administrator may see. Raises `NoSuchAccount`."""
    account = _account(services, user_id, None)
    notes = services.session_store.notes_of(user_id)
    memo = services.session_store.memos_of([user_id]).get(user_id, "")
    address = emails.canonical(account.email)
    locked = address is not None and services.lockout.locked(services.lockout.address(address)) is not None
    return Person(_user(account, notes), memo, notes.change_by is not None, locked)


def user_of(services: Services, account: Account) -> User:
    """The account as an app may see it: without its hash, with our notes."""
    return _user(account, services.session_store.notes_of(account.id))


def _user(account: Account, notes: AccountNotes) -> User:
    facts = (account.id, account.email, bool(account.active), account.name or "", account.role)
    return User(*facts, notes.language, notes.notify_email)


def _account(services: Services, user_id: str, actor: Actor | None) -> Account:
    """The account. With `actor` for what administrators must not do to themselves: they would lock themselves out, or
    do without their password what the pages of their own account ask it for."""
    account = services.users.get(user_id)
    if account is None:
        raise NoSuchAccount(user_id)
    if actor is not None and actor.client is not None and account.id == actor.name:
        raise NotOneself("administrators leave this to one another")
    return account


def _keep_an_admin(services: Services, account: Account, actor: Actor) -> None:
    """Call it in the transaction that takes power away: of two that demote each other at once one is refused."""
    if actor.client is None:
        return
    directory = _directory(services)
    # Not by what `account` says: it was read before, and may have become the last one since.
    holders = directory.active_with_role(ADMIN) if isinstance(directory, RoleHolders) else _admins(directory)
    if list(holders) == [account.id]:
        raise LastAdmin("nobody could administrate any more")


def _admins(directory: StaffDirectory) -> list[str]:
    """The ids of active administrators, two at most: whether there is another is all that counts."""
    found: list[str] = []
    after = None
    while len(found) < _ENOUGH and (page := directory.search("", after=after, limit=_AT_ONCE)):
        found += [other.id for other in page if other.active and other.role == ADMIN]
        after = page[-1].email
    return found


def _check_role(services: Services, role: str, actor: Actor) -> None:
    """In a browser only the roles of the configuration are given; the host's own code knows what it does."""
    if actor.client is not None and role not in services.config.roles:
        raise UnknownRole(f"{role!r} is not among {tuple(services.config.roles)}")


def _end(services: Services, account: Account, *, why: str, record: Record, actor: Actor) -> None:
    """End every session and link, those that could cancel a change of address too: an administrator has decided."""
    end_everything(services, account, why=why, record=record, actor=actor.name)
    if services.email_changes is not None:
        services.email_changes.void_email_changes(account.id)


def _directory(services: Services) -> StaffDirectory:
    if services.directory is None:
        raise NotSupported("the user store is no StaffDirectory (create, update, delete, search)")
    return services.directory


def _note(record: Record, name: str, account: Account, actor: Actor, **details: str | int) -> None:
    record(
        event(
            name,
            time=time.time(),
            client=actor.client,
            user_id=account.id,
            email=account.email,
            actor=actor.name,
            details=details,
        )
    )
