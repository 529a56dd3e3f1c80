"""From a queued mail to its text. Links and tokens are made here, at the moment of sending, and are never stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from nipo_auth_mw._credentials.cancel_links import CancelLinks
from nipo_auth_mw._credentials.email_links import EmailLinks
from nipo_auth_mw._credentials.passkey_names import without_links
from nipo_auth_mw._lines import person_name
from nipo_auth_mw._mail.addresses import Addresses
from nipo_auth_mw._mail.notifications import INVITATION
from nipo_auth_mw._pages.renderer import Renderer
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.models import AccountState, Client, Message, QueuedMail
from nipo_auth_mw.protocols import Account, AccountStateStore, EmailChangeStore, UserStore

WITHDRAWN_FOR = "withdrawn_for"
"""The attribute of an account's state that has the address whose invitation was withdrawn."""
_OF_PASSKEYS = frozenset({"passkey_added", "passkey_copied", "passkey_removed"})
"""The mails about the name that a user has given to a passkey."""


class Composer:
    """Makes the text of a queued mail. Its links start with `base_url`, never with a header of the request, so an
    attacker cannot put another host into a mail."""

    def __init__(
        self,
        config: AuthConfig,
        pages: Renderer,
        users: UserStore,
        account_states: AccountStateStore,
        email_changes: EmailChangeStore | None,
        *,
        reset_links: EmailLinks,
        email_links: EmailLinks,
        invitation_links: EmailLinks,
        cancel_links: CancelLinks,
    ) -> None:
        self._url = config.base_url + config.prefix
        self._config = config
        self._addresses = Addresses(config.login_domain)
        self._pages = pages
        self._users = users
        self._account_states = account_states
        self._email_changes = email_changes
        self._reset_links = reset_links
        self._email_links = email_links
        self._invitation_links = invitation_links
        self._cancel_links = cancel_links
        self._links = {
            "reset": self._reset_link,
            "email_confirm": self._confirm_link,
            "email_change_asked": self._cancel_link,
            "invitation": self._invitation_link,
            "factors_reset_by": self._audit_page,
            "passkey_copied": self._security_page,
        }

    def compose(self, mail: QueuedMail) -> Message | None:
        """The mail as it is sent now.

        None if there is nothing to send any more: the account is deleted, the link would not work, or the recipient has
        no mailbox. Raises `StoreUnavailable`.
        """
        account = self._users.get(mail.user_id)
        # A link for a forgotten password goes to the stored sign-in address alone (CVE-2023-7028).
        to = account.email if account is not None and mail.kind == "reset" else mail.to
        if account is None or not self._addresses.has_mailbox(to):
            return None
        link = self._links.get(mail.kind, self._forgot)(mail, account)
        if link is None:
            return None
        facts, own = mail.facts, to == account.email
        named = mail.kind in _OF_PASSKEYS
        about = str(facts.get("about", ""))
        lasting = {"reset": self._reset_links, "email_confirm": self._email_links, "invitation": self._invitation_links}
        seconds = lasting.get(mail.kind)
        return self._pages.mail(
            mail.kind,
            str(facts.get("language", "")),
            to,
            email=self._config.login_id(str(facts.get("email", "")) or account.email),
            # A new address may be another person's by mistake. In a table of the host app's a name may be any text, and
            # an address may be one that its user has made up.
            name=without_links(person_name(account.name or "")) if own else "",
            at=datetime.fromtimestamp(mail.queued_at, UTC),
            client=Client(str(facts.get("address", "")), str(facts.get("user_agent", ""))),
            link=f"{self._url}/{link}",
            seconds=int(seconds.lasts.total_seconds()) if seconds else int(facts.get("seconds", 0)),
            # A notification address proves nothing, so the user could send a text of their own to anyone.
            about=(without_links(about) if own else "") if named else self._config.login_id(about),
            unnamed=named and not own,
            by=self._config.login_id(str(facts.get("by", ""))),
            proofs=_proofs(str(facts.get("proofs", "")), named=own),
        )

    def _forgot(self, _mail: QueuedMail, _account: Account) -> str | None:
        return "forgot"

    def _audit_page(self, _mail: QueuedMail, _account: Account) -> str | None:
        return "audit"

    def _security_page(self, _mail: QueuedMail, _account: Account) -> str | None:
        return "account/security"

    def _reset_link(self, _mail: QueuedMail, account: Account) -> str | None:
        state = self._account_states.account_state(account.id)
        return f"reset/{self._reset_links.make(account, state)}" if gets_reset_links(account, state) else None

    def _confirm_link(self, mail: QueuedMail, account: Account) -> str | None:
        """A link for the account as it was at the request: a later password change, or its owner's, ends it before it
        is made."""
        key, state = str(mail.facts["change"]), self._account_states.account_state(account.id)
        if not gets_links(account) or not self._email_links.still_fits(str(mail.facts["stamp"]), account, state, key):
            return None
        return f"email/confirm/{self._email_links.make(account, state, key)}"

    def _invitation_link(self, mail: QueuedMail, account: Account) -> str | None:
        """A link for the account as it was at the invitation: a later one, and every other change, ends it before it
        is made."""
        state, links = self._account_states.account_state(account.id), self._invitation_links
        if not gets_links(account) or not links.still_fits(str(mail.facts["stamp"]), account, state, INVITATION):
            return None
        return f"invite/{links.make(account, state)}"

    def _cancel_link(self, mail: QueuedMail, _account: Account) -> str | None:
        changes = self._email_changes
        if changes is None:
            return None
        nonce = str(mail.facts["nonce"])
        token = self._cancel_links.make(nonce, lambda key: changes.find_email_change(key) is not None)
        return None if token is None else f"email/cancel/{token}"


def gets_links(account: Account) -> bool:
    """Whether an account gets links by mail. A disabled one does not, since a link would not enable it."""
    return bool(account.active)


def gets_reset_links(account: Account, state: AccountState) -> bool:
    """Whether an account gets links for a forgotten password by mail. One whose invitation was withdrawn does not: its
    mailbox may be another person's. Another address, an invitation or a password ends this."""
    withdrawn = account.password_hash is None and state.attributes.get(WITHDRAWN_FOR) == account.email
    return gets_links(account) and not withdrawn


def _proofs(told: str, *, named: bool) -> list[tuple[str, str, datetime]]:
    """The proofs of the second step that a mail lists: kind, name and time of each."""
    found = json.loads(told or "[]")
    return [(kind, without_links(name) if named else "", datetime.fromtimestamp(at, UTC)) for kind, name, at in found]
