"""`auth.accounts`: what scripts, tests and the command line do to accounts."""

from __future__ import annotations

from nipo_auth_mw.flows import staff
from nipo_auth_mw.flows.staff import Actor
from nipo_auth_mw.models import User
from nipo_auth_mw.parts.services import Services


class Accounts:
    """`find` and `get` return None for nobody; the rest raise `EmailTaken`, `EmailRejected`, `PasswordRejected`,
    `NoSuchAccount`, and `NotSupported` where the host's user store lacks the capability."""

    def __init__(self, services: Services, actor: str = "script") -> None:
        self._services = services
        self._actor = actor

    def acting_as(self, actor: str) -> Accounts:
        """The same, with another name in the history."""
        return Accounts(self._services, actor)

    def create(
        self,
        *,
        email: str,
        password: str | None = None,
        name: str = "",
        role: str = "staff",
        active: bool = True,
        notify_email: str | None = None,
        language: str | None = None,
        must_change: bool = False,
    ) -> User:
        """A new account. Without a password nobody can sign in to it until one is set."""
        return staff.create_account(
            self._services,
            email=email,
            password=password,
            name=name,
            role=role,
            active=active,
            notify_email=notify_email,
            language=language,
            must_change=must_change,
            actor=Actor(self._actor),
        )

    def find(self, email: str) -> User | None:
        """Whoever signs in with this address, in any of its spellings."""
        return staff.find(self._services, email)

    def get(self, user_id: str) -> User | None:
        return staff.get(self._services, user_id)

    def set_password(self, user_id: str, password: str, must_change: bool = False) -> None:
        """Set a password by force; every session and lock of the account end at once.

        With `must_change` its owner has to choose another at the next sign-in, within seven days.
        """
        staff.set_password(self._services, user_id, password, actor=Actor(self._actor), must_change=must_change)

    def set_active(self, user_id: str, active: bool) -> None:
        """Enable or disable; disabling ends every session at once."""
        staff.set_active(self._services, user_id, active, actor=Actor(self._actor))

    def change_email(self, user_id: str, email: str) -> None:
        """Give another address; every session ends."""
        staff.change_email(self._services, user_id, email, actor=Actor(self._actor))

    def set_role(self, user_id: str, role: str) -> None:
        """`admin`, `staff`, or a name of the host's own."""
        staff.set_role(self._services, user_id, role, actor=Actor(self._actor))

    def delete(self, user_id: str) -> None:
        """Remove the account and free its address; its history stays."""
        staff.delete_account(self._services, user_id, actor=Actor(self._actor))

    def unlock(self, user_id: str) -> None:
        """Clear the count of wrong passwords and the lock."""
        staff.unlock(self._services, user_id, actor=Actor(self._actor))

    def search(self, text: str = "", after: str | None = None, limit: int = 50) -> list[User]:
        """Accounts whose address or name contains `text`, by address; `after` is the last one of the page before."""
        return staff.search(self._services, text, after=after, limit=limit)
