"""The change of address: rows EM1 to EM9, EN6 and RS3 of what must hold."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from werkzeug.security import generate_password_hash

from nipo_auth_mw import legacy
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, fast_hasher, link_in
from tests.kit import PASSWORD, WRONG, at_once, browser, events, middleware, person, seen, sign_in

OLD, NEW = "tanaka@example.com", "hanako@example.jp"


class House:
    """A middleware with a mailer, one person signed in, and the mails."""

    def __init__(self, **given: Any) -> None:
        self.mailer = MemoryMailer()
        self.auth = middleware(mailer=self.mailer, **given)
        self.user = person(self.auth, OLD)
        self.browser = browser(self.auth)
        assert sign_in(self.browser, OLD).status_int == 303

    def ask(self, email: str = NEW, password: str = PASSWORD, who: Any = None) -> Any:
        fields = {"email": email, "password": password}
        return (who or self.browser).post("/-/auth/account/email", fields, expect_errors=True)

    def mail(self, to: str, kind: str) -> str:
        """The path of the link in the newest such mail."""
        found = [m for m in self.mailer.outbox if m.to == to and f"/-/auth/email/{kind}/" in m.text]
        return re.sub(r"^https?://[^/]+", "", link_in(found[-1]))

    def confirm(self) -> Any:
        return browser(self.auth, "192.0.2.9").post(self.mail(NEW, "confirm"), expect_errors=True)

    def cancel(self, path: str = "") -> Any:
        return browser(self.auth, "192.0.2.8").post(path or self.mail(OLD, "cancel"), expect_errors=True)

    def address(self) -> str:
        return str(self.auth.accounts.get(self.user.id).email)


@pytest.fixture
def house() -> House:
    return House()


def test_em1_the_password_is_needed_and_wrong_ones_count(house: House) -> None:
    assert house.browser.post("/-/auth/account/email", {"email": NEW}, expect_errors=True).status_int == 403
    for password in (WRONG, WRONG):
        assert house.ask(password=password).status_int == 403
    as_json = house.browser.post_json("/-/auth/account/email", {"email": NEW, "password": WRONG}, status=403)
    assert as_json.json["code"] == "wrong_password"
    fifth = house.ask(password=WRONG)
    assert fifth.status_int == 403
    assert "Retry-After" in fifth.headers
    assert house.ask().status_int == 429
    assert sign_in(house.browser, OLD).status_int == 429
    assert events(house.auth, "email_change_requested") == []
    assert house.mailer.outbox == [] or all("/email/" not in m.text for m in house.mailer.outbox)


def test_em2_nothing_changes_before_the_new_address_confirms(house: House) -> None:
    assert house.ask().status_int == 303
    house.auth.accounts.get(house.user.id)
    assert sign_in(browser(house.auth), OLD).status_int == 303
    assert sign_in(browser(house.auth), NEW).status_int == 401
    browser(house.auth).get(house.mail(NEW, "confirm"), status=200)
    assert house.address() == OLD
    assert house.confirm().location.endswith("/-/auth/login")
    assert sign_in(browser(house.auth), OLD).status_int == 401
    assert sign_in(browser(house.auth), NEW).status_int == 303


def test_em3_two_mails_with_two_links_neither_of_which_does_the_others_work(house: House) -> None:
    house.ask()
    assert [m.to for m in house.mailer.outbox] == [OLD, NEW]
    confirm, cancel = house.mail(NEW, "confirm"), house.mail(OLD, "cancel")
    assert house.cancel(cancel.replace("/cancel/", "/confirm/")).status_int == 410
    assert house.cancel(confirm.replace("/confirm/", "/cancel/")).status_int == 410
    assert house.cancel(confirm.replace("/email/confirm/", "/reset/")).status_int == 410
    assert house.address() == OLD


def test_em4_a_link_confirms_the_address_it_went_to_and_no_other(house: House) -> None:
    house.ask("evil@example.net")
    with time_machine.travel(time.time() + 61, tick=True):
        house.ask("victim@example.org")
        path = house.mail("evil@example.net", "confirm")
        assert browser(house.auth).post(path).status_int == 303
    assert house.address() == "evil@example.net"


def test_em4_a_link_of_one_account_is_worth_nothing_for_another(house: House) -> None:
    """The key of another account's pending change, put into one's own link, needs our signature."""
    house.ask()
    path = house.mail(NEW, "confirm")
    head, _, tail = path.rpartition("/")
    packed, made, about, stamp, signature = tail.split(".")
    for forged in (
        ".".join(["Mg", made, about, stamp, signature]),
        ".".join([packed, made, "0" * 64, stamp, signature]),
        ".".join([packed, made, about, "0" * 64, signature]),
        ".".join([packed, str(int(made) + 9), about, stamp, signature]),
    ):
        assert house.cancel(f"{head}/{forged}").status_int == 410
    assert house.address() == OLD


def test_em4_a_link_that_we_signed_is_of_no_use_for_the_change_of_another_account(house: House) -> None:
    other = person(house.auth, "suzuki@example.com")
    house.ask()
    (change,) = house.auth._services.session_store._changes.values()
    account, state = (
        house.auth._services.users.get(other.id),
        house.auth._services.account_states.account_state(other.id),
    )
    forged = house.auth._services.email_links.make(account, state, change.key)
    assert browser(house.auth).get(f"/-/auth/email/confirm/{forged}", expect_errors=True).status_int == 410
    assert house.cancel(f"/-/auth/email/confirm/{forged}").status_int == 410
    assert house.address() == OLD
    assert house.auth.accounts.get(other.id).email == "suzuki@example.com"


@pytest.fixture
def on_disk(store: SQLStore) -> Any:
    return lambda **given: House(store=store, hasher=fast_hasher(), **given)


def test_em4_of_two_changes_asked_for_at_once_no_link_confirms_the_others_address(on_disk: Any) -> None:
    asked = {"evil@example.net", "victim@example.org"}
    house = on_disk()
    statuses = at_once(*(lambda email=email: house.ask(email) for email in asked))
    assert statuses in ([303, 303], [303, 429])
    mailed = [m for m in house.mailer.outbox if m.to in asked]
    assert len(mailed) == statuses.count(303)
    assert house.cancel(house.mail(mailed[0].to, "confirm")).status_int == 303
    assert house.address() == mailed[0].to


def test_em5_of_two_who_confirm_one_address_at_once_one_wins(on_disk: Any) -> None:
    house = on_disk()
    person(house.auth, "suzuki@example.com")
    other = browser(house.auth)
    sign_in(other, "suzuki@example.com")
    house.ask()
    first = house.mail(NEW, "confirm")
    house.ask(who=other)
    second = house.mail(NEW, "confirm")
    assert first != second
    assert at_once(lambda: house.cancel(first), lambda: house.cancel(second)) == [303, 410]
    found = house.auth.accounts.find(NEW)
    left = {user.email for user in house.auth.accounts.search()}
    assert found is not None
    assert len(left) == 2
    assert len(events(house.auth, "email_changed")) == 1


def test_em5_one_link_used_by_many_at_once_works_once(on_disk: Any) -> None:
    house = on_disk()
    house.ask()
    path = house.mail(NEW, "confirm")
    assert at_once(*[lambda: house.cancel(path)] * 6) == [303, *[410] * 5]
    assert len(events(house.auth, "email_changed")) == 1


def test_em6_confirm_against_cancel_ends_with_the_old_address(on_disk: Any) -> None:
    house = on_disk()
    house.ask()
    confirm, cancel = house.mail(NEW, "confirm"), house.mail(OLD, "cancel")
    statuses = at_once(lambda: house.cancel(confirm), lambda: house.cancel(cancel))
    assert statuses in ([303, 303], [303, 410])
    assert house.address() == OLD
    assert house.cancel(confirm).status_int == 410


def test_em6_cancel_needs_no_sign_in_works_once_and_kills_the_confirm_link(house: House) -> None:
    house.ask()
    path = house.mail(OLD, "cancel")
    browser(house.auth).get(path, status=200)
    assert house.address() == OLD
    assert house.cancel().status_int == 303
    assert house.confirm().status_int == 410
    assert house.cancel(path).status_int == 410
    assert house.address() == OLD
    assert seen(house.browser) == ""
    assert [e.event for e in events(house.auth, "email_change_cancelled")] == ["email_change_cancelled"]


def test_em7_a_takeover_is_undone_from_the_first_mailbox_for_seven_days(house: House) -> None:
    house.ask()
    cancel = house.mail(OLD, "cancel")
    assert house.confirm().status_int == 303
    thief = browser(house.auth)
    sign_in(thief, NEW)
    with time_machine.travel(time.time() + 6.9 * 86400, tick=True):
        house.ask("third@example.net", who=thief)
        browser(house.auth).post(house.mail("third@example.net", "confirm"))
        assert house.address() == "third@example.net"
        sign_in(thief, "third@example.net")
        thief.post("/-/auth/forgot", {"email": "third@example.net"})
        reset = re.sub(r"^https?://[^/]+", "", link_in(house.mailer.outbox[-1]))
        later = house.mail(NEW, "cancel")
        assert house.cancel(cancel).status_int == 303
        assert house.address() == OLD
        assert seen(thief) == ""
        assert thief.get(reset, expect_errors=True).status_int == 410
        assert house.cancel(later).status_int == 410


def test_em7_after_seven_days_it_is_too_late(house: House) -> None:
    house.ask()
    cancel = house.mail(OLD, "cancel")
    house.confirm()
    with time_machine.travel(time.time() + 7.01 * 86400, tick=True):
        assert house.cancel(cancel).status_int == 410
    assert house.address() == NEW


def test_em7_an_address_that_somebody_else_got_meanwhile_is_not_taken_back(house: House) -> None:
    house.ask()
    cancel = house.mail(OLD, "cancel")
    house.confirm()
    person(house.auth, OLD)
    answer = house.cancel(cancel)
    assert answer.status_int == 409
    assert house.address() == NEW
    # Nothing was spent: once the address is free the link works.
    house.auth.accounts.delete(house.auth.accounts.find(OLD).id)
    assert house.cancel(cancel).status_int == 303


@pytest.mark.parametrize(
    "act",
    [
        lambda auth, user: auth.accounts.change_email(user.id, "third@example.net"),
        lambda auth, user: auth.accounts.set_password(user.id, "midori-no-kaze-no-oto"),
        lambda auth, user: auth.accounts.set_active(user.id, False),
        lambda auth, user: auth.accounts.delete(user.id),
    ],
    ids=["address", "password", "disable", "delete"],
)
def test_em7_em8_what_an_administrator_does_voids_every_link(house: House, act: Any) -> None:
    house.ask()
    confirm, cancel = house.mail(NEW, "confirm"), house.mail(OLD, "cancel")
    before = len(house.mailer.outbox)
    act(house.auth, house.user)
    assert house.cancel(cancel).status_int == 410
    assert house.cancel(confirm).status_int == 410
    assert not any("/email/cancel/" in m.text for m in house.mailer.outbox[before:])


def test_em8_rs3_a_change_kills_reset_links_and_older_pending_changes(house: House) -> None:
    browser(house.auth).post("/-/auth/forgot", {"email": OLD})
    reset = re.sub(r"^https?://[^/]+", "", link_in(house.mailer.outbox[-1]))
    house.ask("third@example.net")
    with time_machine.travel(time.time() + 61, tick=True):
        house.ask()
        house.confirm()
        assert browser(house.auth).get(reset, expect_errors=True).status_int == 410
        assert house.cancel(house.mail("third@example.net", "confirm")).status_int == 410
    assert house.address() == NEW


def test_em8_a_change_of_password_kills_the_confirm_link_and_not_the_cancel_link(house: House) -> None:
    house.ask()
    fields = {"current_password": PASSWORD, "password": "midori-no-kaze-no-oto"}
    assert house.browser.post("/-/auth/account/password", fields).status_int == 303
    assert house.confirm().status_int == 410
    assert house.cancel().status_int == 303


def test_em8_confirming_signs_out_everywhere(house: House) -> None:
    phone = browser(house.auth)
    sign_in(phone, OLD)
    house.ask()
    house.confirm()
    assert seen(house.browser) == seen(phone) == ""
    assert {e.details["why"] for e in events(house.auth, "session_ended")} == {"email_changed"}


def test_en6_a_taken_address_looks_like_a_free_one(house: House) -> None:
    person(house.auth, "suzuki@example.com")
    free = house.ask("free@example.net")
    with time_machine.travel(time.time() + 61, tick=True):
        taken = house.ask("suzuki@example.com")
    # The two came a minute after one another.
    headers = [re.sub("Expires=[^;]*", "", str(answer.headerlist)) for answer in (free, taken)]
    assert (taken.status, taken.body, headers[1]) == (free.status, free.body, headers[0])
    told = [m for m in house.mailer.outbox if m.to == "suzuki@example.com"]
    assert len(told) == 1
    assert "/email/confirm/" not in told[0].text
    assert OLD not in told[0].text + told[0].subject


def test_en6_the_same_as_json_and_for_a_disabled_owner(house: House) -> None:
    person(house.auth, "suzuki@example.com")
    person(house.auth, "sato@example.com", active=False)
    answers = []
    for hours, email in enumerate(["free@example.net", "suzuki@example.com", "sato@example.com"]):
        with time_machine.travel(time.time() + 3600 * hours, tick=True):
            fields = {"email": email, "password": PASSWORD}
            answers.append(house.browser.post_json("/-/auth/account/email", fields, expect_errors=True))
    assert {(answer.status_int, answer.body) for answer in answers} == {(200, answers[0].body)}
    assert not [m for m in house.mailer.outbox if "/email/confirm/" in m.text and m.to != "free@example.net"]


def test_em1_mails_cannot_be_made_to_pour(house: House) -> None:
    house.ask()
    for _ in range(5):
        answer = house.ask("other@example.net")
        assert answer.status_int == 429
        assert "Retry-After" in answer.headers
    assert len(house.mailer.outbox) == 2


def test_a_disabled_account_confirms_nothing(house: House) -> None:
    house.ask()
    house.auth._services.directory.update(house.user.id, active=False)
    assert house.confirm().status_int == 410


def told(house: House, to: str, since: int = 0) -> int:
    return len([mail for mail in house.mailer.outbox[since:] if mail.to == to])


def test_ma5_an_account_that_moves_on_begins_no_new_ration(house: House) -> None:
    """With a domain of one's own any address can be confirmed."""
    assert house.ask().status_int == 303
    assert house.confirm().status_int == 303
    moved = browser(house.auth)
    sign_in(moved, NEW)
    assert house.ask("next@example.com", who=moved).status_int == 429
    assert moved.post("/-/auth/account/profile", {"notify_email": "victim@example.com"}).status_int == 303
    again = moved.post("/-/auth/account/profile", {"notify_email": "other@example.com"}, expect_errors=True)
    assert again.status_int == 429


def test_ma5_browsers_of_many_names_fill_nobodys_mailbox(house: House) -> None:
    change_account_state(house.auth._services, house.user.id, notify_email="victim@example.com")
    before = len(house.mailer.outbox)
    for number in range(30):
        sign_in(browser(house.auth, HTTP_USER_AGENT=f"browser {number}"), OLD)
    assert len(events(house.auth, "new_device")) == 30, "in the history are all of them"
    assert told(house, "victim@example.com", before) == told(house, OLD, before) == 10


def test_ma5_password_after_password_fills_nobodys_mailbox(house: House) -> None:
    change_account_state(house.auth._services, house.user.id, notify_email="victim@example.com")
    before, present = len(house.mailer.outbox), PASSWORD
    for number in range(15):
        new = f"midori-no-oka-to-kaze-{number}"
        fields = {"current_password": present, "password": new}
        answer = house.browser.post("/-/auth/account/password", fields, expect_errors=True)
        present = new if answer.status_int == 303 else present
    assert answer.status_int == 429
    assert told(house, "victim@example.com", before) == told(house, OLD, before) == 4
    assert len(events(house.auth, "password_changed")) == 4, "every change was told"


def test_an_address_for_notices_that_was_taken_away_does_not_come_back(house: House) -> None:
    """An attacker with a copied cookie changes the language at the same moment."""
    change_account_state(house.auth._services, house.user.id, notify_email="thief@example.com")
    thief, log = browser(house.auth), house.auth._services.log
    sign_in(thief, OLD)
    really = log.transaction

    def meanwhile() -> Any:
        log.transaction = really
        assert house.browser.post("/-/auth/account/profile", {"notify_email": ""}).status_int == 303
        return really()

    log.transaction = meanwhile
    assert thief.post("/-/auth/account/profile", {"language": "en"}).status_int == 303
    assert house.auth.accounts.get(house.user.id).notify_email is None


def test_a_cancel_works_with_a_store_that_counts_only_rows_that_became_different(house: House) -> None:
    """As raw MySQL drivers do."""
    store = house.auth._services.email_store
    really = store.set_email
    store.set_email = lambda user_id, new, *, expected: new != expected and really(user_id, new, expected=expected)
    house.ask()
    assert house.cancel().status_int == 303
    assert house.address() == OLD


def test_a_cancel_comes_to_an_end_with_a_store_that_never_says_yes(house: House) -> None:
    house.ask()
    house.confirm()
    house.auth._services.email_store.set_email = lambda *args, **kwargs: False
    assert house.cancel().status_int == 410
    assert house.address() == NEW


def test_em9_a_live_row_of_the_host_app_hides_no_change_from_its_old_address() -> None:
    users = LiveRows(generate_password_hash(PASSWORD, "pbkdf2:sha256:1000"))
    auth = middleware(mailer=(mailer := MemoryMailer()), users=users, legacy_hashers=[legacy.werkzeug()])
    client = browser(auth)
    assert sign_in(client, OLD).status_int == 303
    assert users.row.password_hash.startswith("$argon2")
    assert seen(client) == "7", "the new hash has ended the session"
    client.post("/-/auth/account/email", {"email": NEW, "password": PASSWORD})
    confirm = next(link_in(mail) for mail in mailer.outbox if mail.to == NEW)
    browser(auth).post(confirm.removeprefix("http://localhost"))
    assert users.row.email == NEW
    assert [mail.to for mail in mailer.outbox[2:]] == [OLD, NEW]


class LiveRows:
    """A user store that gives the row itself, as the identity map of an ORM does."""

    def __init__(self, password_hash: str) -> None:
        self.row = SimpleNamespace(id="7", email=OLD, password_hash=password_hash, active=True, name="", role="staff")

    def get(self, user_id: str) -> Any:
        return self.row if user_id == self.row.id else None

    def find_by_email(self, email: str) -> Any:
        return self.row if email == self.row.email else None

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        return self._set("password_hash", new, expected)

    def set_email(self, user_id: str, new: str, *, expected: str) -> bool:
        return self._set("email", new, expected)

    def _set(self, name: str, new: str, expected: str | None) -> bool:
        fits: bool = getattr(self.row, name) == expected
        if fits:
            setattr(self.row, name, new)
        return fits
