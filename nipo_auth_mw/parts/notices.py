"""The mails we send, and to whom. Composed and sent in the background; links come from `base_url` and nothing else."""

from __future__ import annotations

from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import EmailRejected
from nipo_auth_mw.models import AccountNotes, Client, Message
from nipo_auth_mw.parts import emails
from nipo_auth_mw.parts.links import Links
from nipo_auth_mw.parts.outbox import Outbox
from nipo_auth_mw.parts.pages import Pages
from nipo_auth_mw.protocols import Account

_NO_MAILBOX = (".invalid", "@invalid")
"""Nobody ever gets mail there (RFC 2606): the domain for people who have no address."""


class Notices:
    """One method a mail. `client` is who caused it; a mail is in the language of its account, else in theirs."""

    def __init__(self, config: AuthConfig, pages: Pages, outbox: Outbox) -> None:
        self._url = config.base_url + config.prefix
        self._pages = pages
        self._outbox = outbox

    def reset_link(self, account: Account, notes: AccountNotes, links: Links, client: Client) -> None:
        """The link that lets its reader set a password: to the address of sign-in alone, as it is stored."""

        def compose() -> Message | None:
            link = f"{self._url}/reset/{links.make(account, notes)}"
            lasts = int(links.lasts.total_seconds())
            return self._compose("reset", account.email, account, notes, client, link=link, seconds=lasts)

        self._outbox.put(compose)

    def password_reset(self, account: Account, notes: AccountNotes, client: Client) -> None:
        """That the password was set anew, to every address we know of its owner (ASVS 5 6.3.7)."""
        self._tell_all("password_reset", account, notes, client)

    def password_changed(self, account: Account, notes: AccountNotes, client: Client) -> None:
        """That its owner, or somebody at their device, set another password."""
        self._tell_all("password_changed", account, notes, client)

    def password_set(self, account: Account, notes: AccountNotes, client: Client) -> None:
        """That an administrator set another password."""
        self._tell_all("password_set", account, notes, _as_of_nobody(client))

    def email_set(self, account: Account, notes: AccountNotes, client: Client, *, new: str) -> None:
        """That an administrator gave another address of sign-in: to both, and where notices go."""
        for to in dict.fromkeys([account.email, new, notes.notify_email or new]):
            self._tell("email_set", to, account, notes, _as_of_nobody(client), about=new)

    def notify_email_changed(self, account: Account, before: AccountNotes, after: AccountNotes, client: Client) -> None:
        """That notices go elsewhere from now on: to the address of sign-in, the old and the new one."""
        for to in dict.fromkeys([account.email, before.notify_email or "", after.notify_email or ""]):
            if to:
                about = after.notify_email or account.email
                self._tell("notify_email_changed", to, account, after, client, about=about)

    def new_device(self, account: Account, notes: AccountNotes, client: Client) -> None:
        """That somebody signed in on a device which has not been seen before (ASVS 5 6.3.5)."""
        self._tell_all("new_device", account, notes, client)

    def email_confirm(
        self, account: Account, notes: AccountNotes, links: Links, client: Client, *, to: str, key: str
    ) -> None:
        """The link that makes `to` the address of sign-in: to that address alone."""

        def compose() -> Message | None:
            link = f"{self._url}/email/confirm/{links.make(account, notes, key)}"
            lasts = int(links.lasts.total_seconds())
            return self._compose("email_confirm", to, account, notes, client, link=link, seconds=lasts)

        self._outbox.put(compose)

    def email_taken(self, owner: Account, notes: AccountNotes, client: Client) -> None:
        """To whoever signs in with an address already: that somebody wants it for another account."""
        self._tell("email_taken", owner.email, owner, notes, Client(language=client.language))

    def email_change_asked(
        self, account: Account, notes: AccountNotes, client: Client, *, new: str, cancel: str
    ) -> None:
        """That the address of sign-in is about to change, with the link that stops or undoes it: to the present one
        (ASVS 5 6.3.7)."""
        link = f"{self._url}/email/cancel/{cancel}"
        self._tell("email_change_asked", account.email, account, notes, client, about=new, link=link)

    def email_changed(self, account: Account, notes: AccountNotes, client: Client, *, new: str) -> None:
        """That people sign in with another address now: to both, and where notices go."""
        for to in dict.fromkeys([account.email, new, notes.notify_email or new]):
            self._tell("email_changed", to, account, notes, client, about=new)

    def email_change_cancelled(self, account: Account, notes: AccountNotes, client: Client, *, old: str) -> None:
        """That a change was stopped or undone: to the address that signs in, and where notices go."""
        for to in dict.fromkeys([old, account.email, notes.notify_email or old]):
            self._tell("email_change_cancelled", to, account, notes, client, about=old)

    def locked(self, account: Account, notes: AccountNotes, client: Client, *, seconds: int | None) -> None:
        """That wrong passwords locked the sign-in (ASVS 5 6.3.5). Once an hour is enough: see the flow."""
        self._tell("locked", notes.notify_email or account.email, account, notes, client, seconds=seconds or 0)

    def nothing(self) -> None:
        """Costs what a mail costs, so that time does not tell whether one was sent."""
        self._outbox.put(lambda: None)

    def _tell_all(self, kind: str, account: Account, notes: AccountNotes, client: Client) -> None:
        for to in dict.fromkeys([account.email, notes.notify_email or account.email]):
            self._tell(kind, to, account, notes, client)

    def _tell(
        self,
        kind: str,
        to: str,
        account: Account,
        notes: AccountNotes,
        client: Client,
        *,
        seconds: int = 0,
        about: str = "",
        link: str = "",
    ) -> None:
        def compose() -> Message | None:
            to_open = link or f"{self._url}/forgot"
            return self._compose(kind, to, account, notes, client, link=to_open, seconds=seconds, about=about)

        self._outbox.put(compose)

    def _compose(
        self,
        kind: str,
        to: str,
        account: Account,
        notes: AccountNotes,
        client: Client,
        *,
        link: str,
        seconds: int = 0,
        about: str = "",
    ) -> Message | None:
        if to.lower().endswith(_NO_MAILBOX):
            return None
        try:
            emails.accepted(to)
        except EmailRejected:
            # A host's own table may hold a text that a mail server could take for two mailboxes.
            return None
        language = notes.language or client.language
        return self._pages.mail(
            kind, language, to, email=account.email, client=client, link=link, seconds=seconds, about=about
        )


def _as_of_nobody(client: Client) -> Client:
    """An administrator's device is none of the owner's business."""
    return Client(language=client.language)
