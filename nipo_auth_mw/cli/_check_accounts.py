"""What `nipo-auth check` finds in the accounts: addresses and hashes of no use for sign-in, and unknown roles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from nipo_auth_mw._capabilities import offers
from nipo_auth_mw._flows.staff_actor import ADMIN
from nipo_auth_mw._mail import addresses
from nipo_auth_mw._services import Services
from nipo_auth_mw.cli._context import counted
from nipo_auth_mw.protocols import Account, AccountSearch, HashSamples, HashWidth, ReusedIds

_AT_ONCE, _MOST = 500, 100_000
_SHOWN = 20

Finding = tuple[str, str, str]


def account_findings(services: Services, *, of_app: bool) -> Iterator[Finding]:
    """Findings about all accounts. `of_app`: the services are those of the app, so its `legacy_hashers` are known."""
    if offers(services.users, AccountSearch):
        yield from _addresses(services, services.users)
        yield from _roles(services, services.users)
        if services.directory is None and not any(one.active and one.role == ADMIN for one in _all(services.users)):
            text = "no active account of the app's own table has the role admin, so no user can open the audit log"
            yield "warning", "administrators", text
    else:
        yield "ok", "accounts", "addresses are not checked, since the user store has no search"
    if offers(services.users, ReusedIds) and services.users.gives_ids_again():
        text = "SQLite gives the id of a deleted user to the next one, if the column is not AUTOINCREMENT"
        yield "warning", "accounts", text
    if offers(services.users, HashWidth):
        width, length = services.users.hash_width(), services.hashing.length()
        if width is not None and width < length:
            yield "error", "hashes", f"the column of the hashes takes {width} characters, and a new hash has {length}"
    if offers(services.users, AccountSearch) or offers(services.users, HashSamples):
        yield from _hashes(services, of_app)


def proofs_of_older_keys(services: Services) -> tuple[int, int]:
    """How many accounts have an app or a passkey, and how many have backup codes, that would end without the older
    secret keys."""
    factors, users = services.factors, services.users
    if factors is None or not offers(users, AccountSearch):
        return 0, 0
    found = [(factors.need_older_keys(one.id), factors.codes_end(one.id) == "soon") for one in _all(users)]
    return sum(proofs for proofs, _ in found), sum(codes for _, codes in found)


def _addresses(services: Services, users: AccountSearch) -> Iterator[Finding]:
    """Whether sign-in finds each account by its own address."""
    lost = [f"{account.email!r} {why}" for account in _all(users) if (why := _why_lost(services, account))]
    if lost:
        shown = ", ".join(lost[:_SHOWN]) + (", …" if len(lost) > _SHOWN else "")
        number = counted(len(lost), "account")
        text = f"sign-in does not find {number} by address, or finds another in its place: {shown}"
        yield "error", "accounts", text
    else:
        yield "ok", "accounts", "sign-in finds each account by its address"


def _roles(services: Services, users: AccountSearch) -> Iterator[Finding]:
    """The roles of accounts that are not in the setting `roles`: no check of the host app can name them."""
    unknown = Counter(account.role for account in _all(users) if account.role not in services.config.roles)
    if unknown:
        shown = ", ".join(f"{role!r} ({number})" for role, number in unknown.most_common(_SHOWN))
        yield "warning", "accounts", f"accounts have roles that are not in the setting roles: {shown}"


def _why_lost(services: Services, account: Account) -> str:
    """Why a sign-in with the account's address does not find this account; "" if it does.

    Most addresses are canonical as they are, so they cost no look-up.
    """
    canonical = addresses.canonical(account.email)
    if canonical is None:
        return f"(id {account.id}) is no address"
    if canonical == account.email:
        return ""
    found = services.users.find_by_email(canonical)
    if found is None:
        return f"(id {account.id}) is looked for as {canonical!r}"
    return "" if found.id == account.id else f"(id {account.id}) finds the account with the id {found.id}"


def _all(users: AccountSearch) -> Iterator[Account]:
    """Every account, up to a hundred thousand."""
    after = None
    for _ in range(_MOST // _AT_ONCE):
        page = users.search("", after=after, limit=_AT_ONCE)
        yield from page
        if len(page) < _AT_ONCE:
            return
        after = page[-1].email


def _hashes(services: Services, of_app: bool) -> Iterator[Finding]:
    """The systems that made the password hashes, and what no password can be compared with."""
    good = True
    for name, problem in services.hashing.survey():
        good = good and problem is None
        if problem is None and name:
            # Without the app its legacy_hashers are not known.
            then = "each becomes argon2 when its user signs in" if of_app else "the app needs legacy_hashers for them"
            yield "ok", "hashes", f"hashes of {name} are left; {then}"
        elif problem is not None:
            text = f"accounts have hashes of {name} ({problem.reason}), so no password is right for them. "
            yield "error", "hashes", text + f"{problem.hint}"
    if good:
        yield "ok", "hashes", "every password hash can be checked"
