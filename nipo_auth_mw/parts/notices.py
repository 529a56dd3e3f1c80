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
        for to in dict.fromkeys([account.email, notes.notify_email or account.email]):
            self._tell("password_reset", to, account, notes, client)

    def locked(self, account: Account, notes: AccountNotes, client: Client, *, seconds: int | None) -> None:
        """That wrong passwords locked the sign-in (ASVS 5 6.3.5). Once an hour is enough: see the flow."""
        self._tell("locked", notes.notify_email or account.email, account, notes, client, seconds=seconds or 0)

    def nothing(self) -> None:
        """Costs what a mail costs, so that time does not tell whether one was sent."""
        self._outbox.put(lambda: None)

    def _tell(
        self, kind: str, to: str, account: Account, notes: AccountNotes, client: Client, *, seconds: int = 0
    ) -> None:
        link = f"{self._url}/forgot"
        self._outbox.put(lambda: self._compose(kind, to, account, notes, client, link=link, seconds=seconds))

    def _compose(
        self, kind: str, to: str, account: Account, notes: AccountNotes, client: Client, *, link: str, seconds: int
    ) -> Message | None:
        try:
            emails.accepted(to)
        except EmailRejected:
            # A host's own table may hold a text that a mail server could take for two mailboxes.
            return None
        language = notes.language or client.language
        return self._pages.mail(kind, language, to, email=account.email, client=client, link=link, seconds=seconds)
