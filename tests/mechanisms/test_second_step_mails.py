"""The mails about the second step: to both addresses, in the language of the account, with what the owner has to do."""

from __future__ import annotations

import pytest

from nipo_auth_mw.models import Client
from tests.kit import middleware, person

PHONE = Client("192.0.2.7", "Mozilla/5.0 (Windows NT 10.0) Firefox/149.0", "en")
BOTH = ["tanaka@example.com", "tanaka@example.jp"]
# The method, its arguments, what the mail says.
MAILS = [
    ("two_step_on", {}, "two-step sign-in is on"),
    ("two_step_off", {}, "the password alone is enough"),
    ("factor_added", {"kind": "app"}, "An authenticator app was added"),
    ("factor_added", {"kind": "app", "replaced": True}, "was replaced by another one"),
    ("factor_added", {"kind": "passkey", "name": "会社の <b>PC</b>"}, "Passkey: 会社の <b>PC"),
    ("factor_removed", {"kind": "app"}, "app was removed"),
    ("factor_removed", {"kind": "passkey", "name": "iPhone"}, "Passkey: iPhone\n"),
    ("passkey_copied", {"name": "会社の鍵"}, "Passkey: 会社の鍵\n"),
    ("codes_made", {}, "Earlier backup codes no longer work"),
    ("code_used", {"left": 0}, "Codes left: 0\n"),
    ("code_used", {"left": 9}, "Codes left: 9\n"),
    ("second_locked", {"seconds": 300}, "refused for 5 minutes."),
    ("second_locked", {"seconds": 0}, "no longer accepted"),
]


@pytest.fixture
def auth(mailer):
    return middleware(mailer=mailer, site_name="日報")


def told(auth, mailer, method, account, language="en", **given):
    """The mails that a call of this method sends."""
    services = auth._services
    state = services.account_states.account_state(account.id)
    with services.log.transaction():
        getattr(services.notifications, method)(
            account, state, Client(PHONE.address, PHONE.user_agent, language), **given
        )
    assert auth.flush_mail(timeout=10)
    return mailer.outbox


@pytest.mark.parametrize(("method", "given", "says"), MAILS)
def test_the_owner_is_told_at_both_addresses(auth, mailer, method, given, says):
    user = person(auth, notify_email="tanaka@example.jp")
    sent = told(auth, mailer, method, auth._services.users.get(user.id), **given)
    assert [mail.to for mail in sent] == BOTH
    for mail in sent:
        assert mail.subject.startswith("日報: ")
        hidden = "name" in given and mail.to != user.email
        wanted = "Passkey: its name is in the email to your sign-in address\n" if hidden else says
        assert wanted.casefold() in mail.text.casefold()
        page = "account/security" if method == "passkey_copied" else "forgot"
        assert f"http://localhost/-/auth/{page}\n" in mail.text
        assert "<b>" not in mail.html
        assert "192.0.2.7" in mail.text


@pytest.mark.parametrize(("method", "given", "says"), MAILS)
def test_the_language_is_the_accounts(auth, mailer, method, given, says):
    user = person(auth, language="ja")
    (sent,) = told(auth, mailer, method, auth._services.users.get(user.id), language="en", **given)
    assert sent.subject.startswith("【日報】")
    assert "お問い合わせください" in sent.text or "管理者" in sent.text
    assert "{" not in sent.text
