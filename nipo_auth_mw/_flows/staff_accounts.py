"""The accounts, by id, address or a part of a name, for the administrator, the script or the command line that asks."""

from __future__ import annotations

from nipo_auth_mw._capabilities import offers
from nipo_auth_mw._flows.staff_actor import Actor, directory_of
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import NoSuchAccount, NotOneself
from nipo_auth_mw.models import AccountState, User
from nipo_auth_mw.protocols import Account, AccountSearch


def find(services: Services, email: str) -> User | None:
    """The account that signs in with this address, in any of its spellings, or None."""
    account = account_at(services, email)
    return user_of(services, account) if account else None


def get(services: Services, user_id: str) -> User | None:
    """The account with this id, or None."""
    account = services.users.get(user_id)
    return user_of(services, account) if account else None


def search(services: Services, text: str, *, after: str | None, limit: int) -> list[User]:
    """Up to `limit` accounts whose address or name contains `text`, by address, after the address `after`.

    Raises `NotSupported` for a user store without `search`.
    """
    users = services.users if offers(services.users, AccountSearch) else directory_of(services)
    found = users.search(text, after=after, limit=limit)
    return [user_of(services, account) for account in found]


def user_of(services: Services, account: Account) -> User:
    """The account as the host app may see it: with its account state, without its hash."""
    return user_in(account, services.account_states.account_state(account.id))


def user_in(account: Account, state: AccountState) -> User:
    """The user of an account and its state."""
    facts = (account.id, account.email, bool(account.active), account.name or "", account.role)
    return User(*facts, state.language, state.notify_email)


def account_at(services: Services, email: str) -> Account | None:
    """The account that signs in with this address, in any of its spellings, with its hash; or None."""
    address = services.addresses.canonical(email)
    return services.users.find_by_email(address) if address else None


def account_with(services: Services, user_id: str, actor: Actor | None) -> Account:
    """The account with this id. Raises `NoSuchAccount`.

    With `actor` it raises `NotOneself` if administrators act on their own account. They could lock themselves out, or
    skip the password that their account page asks for.
    """
    # A script may give a number or a `User`, which a store that takes texts would stumble over.
    account = services.users.get(user_id) if isinstance(user_id, str) else None
    if account is None:
        raise NoSuchAccount.of(user_id)
    if actor is not None and actor.client is not None and account.id == actor.name:
        raise NotOneself("administrators cannot do this to their own account")
    return account
