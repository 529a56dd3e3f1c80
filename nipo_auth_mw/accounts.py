"""`auth.accounts`: what scripts, tests and the command line do to accounts."""

from __future__ import annotations

from nipo_auth_mw._flows import staff, staff_accounts
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._services import Services
from nipo_auth_mw.models import User


class Accounts:
    """The accounts behind one middleware, for code that acts as an administrator.

    `find` and `get` return None if no account matches. The other methods raise `NoSuchAccount` if no account has the
    id, `NotSupported` if the user store lacks the capability, and `StoreUnavailable` during an outage; then nothing has
    changed. No method asks for a password or checks a role: the caller answers for who may call it.
    """

    def __init__(self, services: Services, actor: str = "script") -> None:
        self._services = services
        self._actor = actor

    def acting_as(self, actor: str) -> Accounts:
        """The same accounts; the audit log names `actor` in the events of these calls."""
        return Accounts(self._services, actor)

    def create(
        self,
        *,
        email: str,
        password: str | None = None,
        password_hash: str | None = None,
        name: str = "",
        role: str = "staff",
        active: bool = True,
        notify_email: str | None = None,
        language: str | None = None,
        must_change: bool = False,
    ) -> User:
        """Create an account and return it.

        Without a password no sign-in works until one is set. With `must_change` the password is temporary: the user has
        to choose another at the first sign-in, within seven days (ASVS 5 6.4.1). `notify_email` is the notification
        address; None means the address of sign-in. `language` is a code out of `languages`.

        `password_hash` stands for the password of an account of another system: a hash of argon2, or one that
        `legacy_hashers` read. "" or a text that begins with "!" or "*" means no password, as elsewhere. It is not
        checked for guessable passwords. Raises `HashRejected` for a text that no password could be compared with.

        `role` is a name of the setting `roles`. Raises `EmailRejected`, `EmailTaken`, `PasswordRejected`,
        `UnknownRole`, or `ValueError` for another language.
        """
        return staff.create_account(
            self._services,
            email=email,
            password=password,
            password_hash=password_hash,
            name=name,
            role=role,
            active=active,
            notify_email=notify_email,
            language=language,
            must_change=must_change,
            actor=Actor(self._actor),
        )

    def find(self, email: str) -> User | None:
        """The account that signs in with this address, in any of its spellings."""
        return staff_accounts.find(self._services, email)

    def get(self, user_id: str) -> User | None:
        """The account with this id."""
        return staff_accounts.get(self._services, user_id)

    def set_password(self, user_id: str, password: str, must_change: bool = False) -> None:
        """Set a password without asking for the present one.

        Every session of the account ends at once, and so does its lock. With `must_change` the password is temporary:
        the user has to choose another at the next sign-in, within seven days. Raises `PasswordRejected`.
        """
        staff.set_password(self._services, user_id, password, actor=Actor(self._actor), must_change=must_change)

    def set_active(self, user_id: str, active: bool) -> None:
        """Enable or disable the account. Disabling ends every session at once (ASVS 5 7.4.2)."""
        staff.set_active(self._services, user_id, active, actor=Actor(self._actor))

    def change_email(self, user_id: str, email: str) -> None:
        """Change the address of sign-in; every session of the account ends.

        Raises `EmailRejected`, or `EmailTaken` if another account has the address.
        """
        staff.change_email(self._services, user_id, email, actor=Actor(self._actor))

    def set_role(self, user_id: str, role: str) -> None:
        """Set the role, from the next request on. `admin` opens the staff pages; any other name is the host app's.

        Raises `UnknownRole` for a name that the setting `roles` does not list.
        """
        staff.set_role(self._services, user_id, role, actor=Actor(self._actor))

    def set_name(self, user_id: str, name: str) -> None:
        """Set the name that pages show, up to 100 characters; "" removes it."""
        staff.change_profile(self._services, user_id, name=name, memo=None, notify_email=None, actor=Actor(self._actor))

    def delete(self, user_id: str) -> None:
        """Delete the account and free its address. Its events stay in the audit log.

        An app that deletes users in a table of its own calls this after each deletion: the passkeys, the second step,
        the sessions and the notification address of the user go, too.
        """
        staff.delete_account(self._services, user_id, actor=Actor(self._actor))

    def unlock(self, user_id: str) -> None:
        """Clear the counts of wrong passwords and wrong codes, and their locks."""
        staff.unlock(self._services, user_id, actor=Actor(self._actor))

    def search(self, text: str = "", after: str | None = None, limit: int = 50) -> list[User]:
        """Up to `limit` accounts whose address or name contains `text`, sorted by address.

        `after` is the address of the last account of the page before.
        """
        return staff_accounts.search(self._services, text, after=after, limit=limit)
