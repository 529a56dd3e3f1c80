"""The mails that this package sends, and their recipients.

All mails are composed and sent in the background. Their links start with `base_url`, never with a header of the
request, so an attacker cannot put another host into a mail.
"""

from __future__ import annotations

from nipo_auth_mw._credentials.email_links import EmailLinks
from nipo_auth_mw._mail import addresses
from nipo_auth_mw._mail.outbox import Outbox
from nipo_auth_mw._pages.renderer import Renderer
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import EmailRejected
from nipo_auth_mw.models import AccountState, Client, Message
from nipo_auth_mw.protocols import Account

_NO_MAILBOX = (".invalid", "@invalid")
"""The domain for users without a mailbox. No server ever receives mail for it (RFC 2606)."""


class Notifications:
    """One method for each mail. `client` is the browser that caused it.

    A mail is in the language of its account, or in the client's language if the account has none. No method raises, and
    no method waits for the mail server.
    """

    def __init__(self, config: AuthConfig, pages: Renderer, outbox: Outbox) -> None:
        self._url = config.base_url + config.prefix
        self._pages = pages
        self._outbox = outbox

    def reset_link(self, account: Account, state: AccountState, links: EmailLinks, client: Client) -> None:
        """The link that sets a new password. Goes only to the stored sign-in address (CVE-2023-7028)."""

        def compose() -> Message | None:
            link = f"{self._url}/reset/{links.make(account, state)}"
            lasts = int(links.lasts.total_seconds())
            return self._compose("reset", account.email, account, state, client, link=link, seconds=lasts)

        self._outbox.put(compose)

    def password_reset(self, account: Account, state: AccountState, client: Client) -> None:
        """The user has reset the password. Goes to the sign-in and the notification address (ASVS 5 6.3.7)."""
        self._tell_all("password_reset", account, state, client)

    def password_changed(self, account: Account, state: AccountState, client: Client) -> None:
        """The user, or a person at the user's device, has changed the password."""
        self._tell_all("password_changed", account, state, client)

    def password_set(self, account: Account, state: AccountState, client: Client) -> None:
        """An administrator has set a password."""
        self._tell_all("password_set", account, state, _without_device(client))

    def email_set(self, account: Account, state: AccountState, client: Client, *, new: str) -> None:
        """An administrator has changed the sign-in address. Goes to both, and to the notification address."""
        for to in dict.fromkeys([account.email, new, state.notify_email or new]):
            self._tell("email_set", to, account, state, _without_device(client), about=new)

    def notify_email_changed(self, account: Account, before: AccountState, after: AccountState, client: Client) -> None:
        """The notification address has changed. Goes to the sign-in, the old and the new notification address."""
        for to in dict.fromkeys([account.email, before.notify_email or "", after.notify_email or ""]):
            if to:
                about = after.notify_email or account.email
                self._tell("notify_email_changed", to, account, after, client, about=about)

    def new_device(self, account: Account, state: AccountState, client: Client) -> None:
        """A sign-in on a device on which the account was not known before (ASVS 5 6.3.5)."""
        self._tell_all("new_device", account, state, client)

    def email_confirm(
        self, account: Account, state: AccountState, links: EmailLinks, client: Client, *, to: str, key: str
    ) -> None:
        """The link that makes `to` the sign-in address. Goes only to `to`, which proves that the user reads it."""

        def compose() -> Message | None:
            link = f"{self._url}/email/confirm/{links.make(account, state, key)}"
            lasts = int(links.lasts.total_seconds())
            return self._compose("email_confirm", to, account, state, client, link=link, seconds=lasts)

        self._outbox.put(compose)

    def email_taken(self, owner: Account, state: AccountState, client: Client) -> None:
        """Another account asks for the sign-in address of `owner`. Goes to that address, without device details."""
        self._tell("email_taken", owner.email, owner, state, Client(language=client.language))

    def email_change_asked(
        self, account: Account, state: AccountState, client: Client, *, new: str, cancel: str
    ) -> None:
        """The sign-in address is about to change. Goes to the current one, with a link that cancels or undoes the
        change (ASVS 5 6.3.7)."""
        link = f"{self._url}/email/cancel/{cancel}"
        self._tell("email_change_asked", account.email, account, state, client, about=new, link=link)

    def email_changed(self, account: Account, state: AccountState, client: Client, *, new: str) -> None:
        """The sign-in address has changed. Goes to both, and to the notification address."""
        for to in dict.fromkeys([account.email, new, state.notify_email or new]):
            self._tell("email_changed", to, account, state, client, about=new)

    def email_change_cancelled(self, account: Account, state: AccountState, client: Client, *, old: str) -> None:
        """A change of the sign-in address was cancelled or undone. Goes to both, and to the notification address."""
        for to in dict.fromkeys([old, account.email, state.notify_email or old]):
            self._tell("email_change_cancelled", to, account, state, client, about=old)

    def email_cancel_refused(self, account: Account, state: AccountState, client: Client) -> None:
        """A link that cancels a change of the sign-in address was used after somebody else had changed the account.
        Nothing has changed. Goes to the present owner, without the device that used the link."""
        self._tell_all("email_cancel_refused", account, state, _without_device(client))

    def locked(self, account: Account, state: AccountState, client: Client, *, seconds: int | None) -> None:
        """Wrong passwords have locked the account's sign-in (ASVS 5 6.3.5). `seconds` is None for a permanent lock.

        The caller applies the quota.
        """
        self._tell("locked", state.notify_email or account.email, account, state, client, seconds=seconds or 0)

    def nothing(self) -> None:
        """Do the work of queueing a mail without sending one, so the time does not reveal whether one was sent."""
        self._outbox.put(lambda: None)

    def _tell_all(self, kind: str, account: Account, state: AccountState, client: Client) -> None:
        """Send one mail to the sign-in address and one to the notification address, if that is another."""
        for to in dict.fromkeys([account.email, state.notify_email or account.email]):
            self._tell(kind, to, account, state, client)

    def _tell(
        self,
        kind: str,
        to: str,
        account: Account,
        state: AccountState,
        client: Client,
        *,
        seconds: int = 0,
        about: str = "",
        link: str = "",
    ) -> None:
        def compose() -> Message | None:
            to_open = link or f"{self._url}/forgot"
            return self._compose(kind, to, account, state, client, link=to_open, seconds=seconds, about=about)

        self._outbox.put(compose)

    def _compose(
        self,
        kind: str,
        to: str,
        account: Account,
        state: AccountState,
        client: Client,
        *,
        link: str,
        seconds: int = 0,
        about: str = "",
    ) -> Message | None:
        """The mail, or None if the recipient has no mailbox."""
        if to.lower().endswith(_NO_MAILBOX):
            return None
        try:
            addresses.accepted(to)
        except EmailRejected:
            # The host app's own table may hold a text that a mail server reads as two mailboxes.
            return None
        language = state.language or client.language
        return self._pages.mail(
            kind, language, to, email=account.email, client=client, link=link, seconds=seconds, about=about
        )


def _without_device(client: Client) -> Client:
    """The client's language alone: the mail must not show another person's address and browser to the user."""
    return Client(language=client.language)
