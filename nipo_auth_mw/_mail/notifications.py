"""The mails that this package sends, and their recipients."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Literal

from nipo_auth_mw._credentials.email_links import EmailLinks
from nipo_auth_mw._mail.outbox import Outbox
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.models import AccountState, Client, QueuedMail
from nipo_auth_mw.protocols import Account

_LONGEST = 254
INVITATION = "invitation"
"""What the digest of an account in the mail of an invitation is bound to."""


class Notifications:
    """One method for each mail. `client` is the browser that caused it.

    Each method queues its mails in the transaction of the calling thread, so a change and the mails that tell of it are
    written together. A mail is in the language of its account, or in the client's language if the account has none. No
    method waits for the mail server, and each raises `StoreUnavailable` if the mail cannot be queued.
    """

    def __init__(
        self, config: AuthConfig, outbox: Outbox, email_links: EmailLinks, invitation_links: EmailLinks
    ) -> None:
        self._realm = config.realm
        self._outbox = outbox
        self._email_links = email_links
        self._invitation_links = invitation_links

    # What a visitor causes: nothing is looked up, so every address costs the same.

    def reset_asked(self, email: str, client: Client) -> None:
        """A visitor has asked for a link for this canonical address, which may have no account."""
        self._ask("reset", email, client)

    def lock_begun(self, email: str, client: Client, *, seconds: int) -> None:
        """Wrong passwords have locked the sign-in of this canonical address, which may have no account.

        `seconds` is 0 for a permanent lock.
        """
        self._ask("locked", email, client, seconds=seconds)

    # Mails to the owner of an account

    def reset_link(self, account: Account, state: AccountState, client: Client) -> None:
        """The link that sets a new password. An account has at most one such mail on its way."""
        key = "reset-" + hashlib.sha256(f"{self._realm} {account.id}".encode()).hexdigest()[:48]
        self._tell("reset", [account.email], account, state, client, key=key)

    def locked(self, account: Account, state: AccountState, client: Client, *, seconds: int) -> None:
        """Wrong passwords have locked the account's sign-in (ASVS 5 6.3.5).

        `seconds` is 0 for a permanent lock.
        """
        kind = "locked" if seconds else "locked_for_good"
        self._tell(kind, [state.notify_email or account.email], account, state, client, seconds=seconds)

    def password_reset(
        self, account: Account, state: AccountState, client: Client, *, proofs: Sequence[tuple[str, str, float]]
    ) -> None:
        """The user has reset the password. Goes to the sign-in and the notification address (ASVS 5 6.3.7).

        `proofs` are those of the second step, which the reset has not touched: kind, name and time of each.
        """
        told = json.dumps(proofs) if proofs else ""
        self._tell("password_reset", _both(account, state), account, state, client, proofs=told)

    def invitation(self, account: Account, state: AccountState, client: Client) -> None:
        """The link by which the owner of a new account sets the first password. A later invitation ends it."""
        stamp = self._invitation_links.stamp(account, state, INVITATION)
        self._tell("invitation", [account.email], account, state, _without_device(client), stamp=stamp)

    def invitation_accepted(self, account: Account, state: AccountState, client: Client) -> None:
        """The first password of an invited account was set."""
        self._tell("invitation_accepted", _both(account, state), account, state, client)

    def password_changed(self, account: Account, state: AccountState, client: Client) -> None:
        """The user, or a person at the user's device, has changed the password."""
        self._tell("password_changed", _both(account, state), account, state, client)

    def password_set(self, account: Account, state: AccountState, client: Client) -> None:
        """An administrator has set a password."""
        self._tell("password_set", _both(account, state), account, state, _without_device(client))

    def factors_reset(self, account: Account, state: AccountState, client: Client) -> None:
        """An administrator has removed the account's second step. Goes to both addresses (ASVS 5 6.4.4)."""
        self._tell("factors_reset", _both(account, state), account, state, _without_device(client))

    def factors_reset_by(self, admin: Account, state: AccountState, client: Client, *, about: str, by: str) -> None:
        """The administrator `by` has removed the second step of the account `about`. Goes to another administrator,
        with the device that did it."""
        to = [state.notify_email or admin.email]
        self._tell("factors_reset_by", to, admin, state, client, about=about, by=by)

    def email_set(self, account: Account, state: AccountState, client: Client, *, new: str) -> None:
        """An administrator has changed the sign-in address. Goes to both, and to the notification address."""
        to = [account.email, new, state.notify_email or new]
        self._tell("email_set", to, account, state, _without_device(client), about=new)

    def notify_email_changed(self, account: Account, before: AccountState, after: AccountState, client: Client) -> None:
        """The notification address has changed. Goes to the sign-in, the old and the new notification address."""
        to = [account.email, before.notify_email or "", after.notify_email or ""]
        self._tell("notify_email_changed", to, account, after, client, about=after.notify_email or account.email)

    def new_device(self, account: Account, state: AccountState, client: Client) -> None:
        """A sign-in on a device on which the account was not known before (ASVS 5 6.3.5)."""
        self._tell("new_device", _both(account, state), account, state, client)

    def email_confirm(self, account: Account, state: AccountState, client: Client, *, to: str, key: str) -> None:
        """The link that makes `to` the sign-in address. Goes only to `to`, which proves that the user reads it."""
        stamp = self._email_links.stamp(account, state, key)
        self._tell("email_confirm", [to], account, state, client, change=key, stamp=stamp)

    def email_taken(self, owner: Account, state: AccountState, client: Client) -> None:
        """Another account asks for the sign-in address of `owner`. Goes to that address, without device details."""
        self._tell("email_taken", [owner.email], owner, state, _without_device(client))

    def email_change_asked(
        self, account: Account, state: AccountState, client: Client, *, new: str, nonce: str
    ) -> None:
        """The sign-in address is about to change. Goes to the current one, with a link that cancels or undoes the
        change (ASVS 5 6.3.7). `nonce` is that of `CancelLinks`."""
        self._tell("email_change_asked", [account.email], account, state, client, about=new, nonce=nonce)

    def email_changed(self, account: Account, state: AccountState, client: Client, *, new: str) -> None:
        """The sign-in address has changed. Goes to both, and to the notification address."""
        self._tell("email_changed", [account.email, new, state.notify_email or new], account, state, client, about=new)

    def email_change_cancelled(self, account: Account, state: AccountState, client: Client, *, old: str) -> None:
        """A change of the sign-in address was cancelled or undone. Goes to both, and to the notification address."""
        to = [old, account.email, state.notify_email or old]
        self._tell("email_change_cancelled", to, account, state, client, about=old)

    def email_cancel_refused(self, account: Account, state: AccountState, client: Client) -> None:
        """A link that cancels a change of the sign-in address was used after an administrator or the host app
        had changed it. Nothing has changed. Goes to the present owner, without the device that used the link."""
        self._tell("email_cancel_refused", _both(account, state), account, state, _without_device(client))

    # The second step: every new proof is told at once, to both addresses (NIST SP 800-63B-4 4.1.2.1, 4.6; ASVS 5 6.3.7)

    def two_step_on(self, account: Account, state: AccountState, client: Client) -> None:
        """The user has switched two steps on."""
        self._tell("two_step_on", _both(account, state), account, state, client)

    def two_step_off(self, account: Account, state: AccountState, client: Client) -> None:
        """The user has switched two steps off, so the app and the backup codes are gone."""
        self._tell("two_step_off", _both(account, state), account, state, client)

    def factor_added(
        self,
        account: Account,
        state: AccountState,
        client: Client,
        *,
        kind: Literal["app", "passkey"],
        name: str = "",
        replaced: bool = False,
    ) -> None:
        """An app or a passkey can be used from now on. `replaced` is for an app that takes the place of another."""
        what = f"{kind}_{'replaced' if replaced else 'added'}"
        self._tell(what, _both(account, state), account, state, client, about=name)

    def factor_removed(
        self,
        account: Account,
        state: AccountState,
        client: Client,
        *,
        kind: Literal["app", "passkey"],
        name: str = "",
    ) -> None:
        """The user has removed an app or a passkey."""
        self._tell(f"{kind}_removed", _both(account, state), account, state, client, about=name)

    def passkey_copied(self, account: Account, state: AccountState, client: Client, *, name: str) -> None:
        """A passkey was refused, since its counter went back: another person may have a copy (ASVS 5 6.3.5)."""
        self._tell("passkey_copied", _both(account, state), account, state, client, about=name)

    def codes_made(self, account: Account, state: AccountState, client: Client) -> None:
        """The user has made new backup codes. No mail holds a code."""
        self._tell("codes_made", _both(account, state), account, state, client)

    def code_used(self, account: Account, state: AccountState, client: Client, *, left: int) -> None:
        """A backup code was used; so many are left."""
        self._tell("code_used", _both(account, state), account, state, client, about=str(left))

    def second_locked(self, account: Account, state: AccountState, client: Client, *, seconds: int) -> None:
        """Wrong codes have locked the second step: another person may know the password (ASVS 5 6.3.5).

        `seconds` is 0 if codes are refused until a passkey or an administrator lifts the lock.
        """
        kind = "second_locked" if seconds else "second_locked_for_good"
        self._tell(kind, _both(account, state), account, state, client, seconds=seconds)

    def _ask(self, kind: str, email: str, client: Client, **facts: str | int) -> None:
        self._queue([self._mail("asked", kind, "", email, _facts(client, client.language, **facts))])

    def _tell(
        self,
        kind: str,
        to: list[str],
        account: Account,
        state: AccountState,
        client: Client,
        *,
        key: str = "",
        **facts: str | int,
    ) -> None:
        """Queue one mail to each of the addresses."""
        told = _facts(client, state.language or client.language, email=account.email, **facts)
        self._queue(self._mail("waiting", kind, account.id, one, told, key) for one in dict.fromkeys(to) if one)

    def _queue(self, mails: Iterable[QueuedMail]) -> None:
        if self._outbox.sends:
            self._outbox.put(*mails)

    def _mail(
        self, state: str, kind: str, user_id: str, to: str, facts: dict[str, str | int], key: str = ""
    ) -> QueuedMail:
        key = key or secrets.token_hex(16)
        return QueuedMail(key, self._realm, state, kind, user_id, to, facts, time.time(), self._outbox.due_in())


def client_of(mail: QueuedMail) -> Client:
    """The browser that caused a queued mail."""
    address, user_agent, language = (str(mail.facts.get(name, "")) for name in ("address", "user_agent", "language"))
    return Client(address, user_agent, language)


def _facts(client: Client, language: str, **facts: str | int) -> dict[str, str | int]:
    """What the text of a mail needs, without empty values."""
    told: dict[str, str | int] = {"language": language, "address": client.address[:_LONGEST]}
    told |= {"user_agent": client.user_agent[:_LONGEST], **facts}
    return {name: value for name, value in told.items() if value}


def _both(account: Account, state: AccountState) -> list[str]:
    """The sign-in address and the notification address."""
    return [account.email, state.notify_email or ""]


def _without_device(client: Client) -> Client:
    """The client's language alone: the mail must not show another person's address and browser to the user."""
    return Client(language=client.language)
