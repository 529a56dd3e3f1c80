"""Row AK12: a form that is sent twice does its work once, and both answers show its sender the same."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
import time_machine
from bs4 import BeautifulSoup
from webtest import TestApp

from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._throttle import one_time_forms
from nipo_auth_mw._web import routes
from nipo_auth_mw._web.interface import interface_of
from nipo_auth_mw._web.one_time_forms import _page_above
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw._web.views import staff_bulk, staff_handover
from nipo_auth_mw.errors import StoreUnavailable
from tests.kit import PASSWORD, administrator, browser, events, middleware, person, sign_in
from tests.security.test_cross_site import House
from tests.security.tools import HTTPS, ask

ONE_TIME = [number for number, route in enumerate(one for one in ROUTES if "POST" in one.views) if route.one_time]
OWN = {"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_ORIGIN": HTTPS}


@pytest.fixture
def auth() -> Any:
    return middleware(mailer=None)


@pytest.fixture
def boss(auth: Any) -> TestApp:
    return administrator(auth)


def shown(page: str) -> list[str]:
    """The passwords and the links that a page shows once; of a link the account and its rights alone."""
    found = BeautifulSoup(page, "html.parser").select(".slip .big, .slip .link")
    return [re.sub(r"(/invite/\w+).*", r"\1", one.text) for one in found]


def blank(boss: TestApp, page: str = "staff/create") -> Any:
    form = boss.get(f"/-/auth/{page}").forms[page.replace("/", "-")]
    form["email"] = "sato@nippo.invalid"
    return form


@pytest.mark.parametrize("number", ONE_TIME)
def test_ak12_every_form_does_its_work_once(number: int) -> None:
    house = House()
    path, fields = list(house.sent.items())[number]
    [route, _] = routes.find(path) or pytest.fail(path)
    fields = {**fields, "form_id": "a" * 22}
    first = ask(house.auth, "POST", f"/-/auth/{path}", form=fields, cookie=house.cookie, **OWN)
    assert first.status in {200, 303}, first.text
    state, mails = events(house.auth), len(house.mails)
    second = ask(house.auth, "POST", f"/-/auth/{path}", form=fields, cookie=house.cookie, **OWN)
    assert (events(house.auth), len(house.mails)) == (state, mails)
    if interface_of(route.views["POST"]).again:
        assert (second.status, shown(second.text)) == (200, shown(first.text))
        return
    assert (second.status, second.body) == (303, b"")
    found = routes.find(second.get("Location").removeprefix("/-/auth/"))
    assert found is not None
    assert "GET" in found[0].views, "it leads to a page"
    flash = second.cookies["__Host-nipo_flash"]
    if route.mailed:
        assert (second.get("Location"), flash) == (first.get("Location"), first.cookies["__Host-nipo_flash"])
    fresh = {**fields, "form_id": "b" * 22}
    third = ask(house.auth, "POST", f"/-/auth/{path}", form=fresh, cookie=house.cookie, **OWN)
    assert "again" not in third.cookies.get("__Host-nipo_flash", ""), "another page is another form"


@pytest.mark.parametrize(
    ("path", "page"), [("terms", "account"), ("account/profile", "account"), ("staff/7/unlock", "staff/7")]
)
def test_ak12_the_second_press_leads_to_the_page_above_or_to_the_account(auth: Any, path: str, page: str) -> None:
    assert _page_above(auth._web, path) == page


def test_ak12_both_answers_show_one_password_which_signs_in(auth: Any, boss: TestApp) -> None:
    form = blank(boss)
    password = form.submit(status=200).html.select_one(".slip .big").text
    assert form.submit(status=200).html.select_one(".slip .big").text == password
    assert len(events(auth, "account_created")) == 2
    sign_in(browser(auth), "sato@nippo.invalid", password)
    another = blank(boss, "staff/create")
    another["email"] = "suzuki@nippo.invalid"
    assert another.submit(status=200).html.select_one(".slip .big").text != password


def test_ak12_the_link_of_the_second_answer_is_the_invitation_of_the_first(auth: Any, boss: TestApp) -> None:
    form = blank(boss)
    form["invite"] = True
    links = [form.submit(status=200).html.select_one(".slip .link").text for _ in range(2)]
    assert len(events(auth, "invited")) == 1
    for link in links:
        page = browser(auth).get(link.removeprefix(auth.config.base_url))
        assert "sato@nippo.invalid" in page.text
    page.forms[0]["password"] = PASSWORD
    page.forms[0].submit(status=303)
    assert form.submit(status=303).follow().html.select_one(".flash"), "the link is used"


def test_ak12_an_import_is_reported_again_as_it_was(auth: Any, boss: TestApp) -> None:
    person(auth, "suzuki@nippo.invalid")
    auth.accounts.create(email="honda@nippo.invalid", name="")
    fields = {"emails": "sato@nippo.invalid\nsuzuki@nippo.invalid\nhonda@nippo.invalid\nkato@nippo.invalid"}
    fields |= {"confirm": "1", "corrected": "no address", "form_id": "a" * 22}
    for more in ({"must_change": "1"}, {"invite": "1"}):
        first, second = (boss.post("/-/auth/staff/bulk", {**fields, **more}, status=200).text for _ in range(2))
        assert shown(second) == shown(first)
        assert len(shown(first)) == 2
        fields["emails"] = fields["emails"].replace("sato", "sato2").replace("kato", "kato2")


@pytest.mark.parametrize("path", ["staff/create", "staff/bulk"])
def test_ak12_a_busy_process_hides_no_password_for_good(
    boss: TestApp, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    sent = {"email": "sato@nippo.invalid", "emails": "sato@nippo.invalid", "confirm": "1", "form_id": "a" * 22}
    first = boss.post(f"/-/auth/{path}", sent, status=200).text
    with monkeypatch.context() as busy:
        for view in (staff_handover, staff_bulk):
            busy.setattr(view, "is_password_of", mock.Mock(side_effect=Busy))
        assert boss.post(f"/-/auth/{path}", sent, status=503).headers["Retry-After"]
    assert shown(boss.post(f"/-/auth/{path}", sent, status=200).text) == shown(first)


def test_ak12_a_script_that_reads_json_gets_no_page_at_the_second_press(boss: TestApp) -> None:
    sent, json = {"email": "sato@nippo.invalid", "form_id": "a" * 22}, {"Accept": "application/json"}
    password = boss.post("/-/auth/staff/create", sent, headers=json).json["password"]
    second = boss.post("/-/auth/staff/create", sent, headers=json)
    assert second.json["next"]
    assert password not in second.text


@pytest.mark.parametrize(
    ("path", "ja", "en"),
    [
        ("staff/create", "追加は1回だけ", "added once"),
        ("staff/bulk", "", ""),
        ("staff/{}/password", "発行は1回だけ", "one password was issued"),
    ],
)
@pytest.mark.parametrize("language", ["ja", "en"])
def test_ak12_a_password_that_has_been_changed_is_not_shown_again(
    auth: Any, boss: TestApp, path: str, ja: str, en: str, language: str
) -> None:
    boss.set_cookie("nipo_lang", language)
    if "{}" in path:
        path = path.format(person(auth, "sato@nippo.invalid").id)
    sent = {"email": "sato@nippo.invalid", "emails": "sato@nippo.invalid", "confirm": "1", "form_id": "a" * 22}
    password = shown(boss.post(f"/-/auth/{path}", sent, status=200).text)[0]
    auth.accounts.set_password(auth.accounts.find("sato@nippo.invalid").id, PASSWORD)
    second = boss.post(f"/-/auth/{path}", sent, status=303 if ja else 200)
    assert password not in second.text
    if ja:
        assert (ja if language == "ja" else en) in second.follow().html.select_one(".flash").text
    else:
        assert shown(second.text) == [], "the list is reported without it"


@pytest.mark.parametrize(
    ("who", "status"), [("another administrator", 303), ("no administrator", 403), ("a visitor", 401)]
)
def test_ak12_what_the_first_answer_has_shown_is_for_its_sender_alone(
    auth: Any, boss: TestApp, who: str, status: int
) -> None:
    sent, other = {"email": "sato@nippo.invalid", "form_id": "a" * 22}, browser(auth)
    if who != "a visitor":
        person(auth, "other@example.com", role="admin" if who == "another administrator" else "staff")
        sign_in(other, "other@example.com")
    password = shown(boss.post("/-/auth/staff/create", sent, status=200).text)[0]
    assert password not in other.post("/-/auth/staff/create", sent, status=status).text


def test_ak12_a_second_press_too_long_after_sign_in_asks_for_the_password(boss: TestApp) -> None:
    sent, now = {"email": "sato@nippo.invalid", "form_id": "a" * 22}, time.time()
    with time_machine.travel(now + 14 * 60 + 30, tick=False):
        password = shown(boss.post("/-/auth/staff/create", sent, status=200).text)[0]
    with time_machine.travel(now + 15 * 60 + 15, tick=False):
        answer = boss.post("/-/auth/staff/create", sent, status=403)
    assert password not in answer.text


@pytest.mark.parametrize("arrived", [True, False])
def test_ak12_a_changed_password_is_no_wrong_one_at_the_second_press(auth: Any, arrived: bool) -> None:
    person(auth)
    device = browser(auth)
    sign_in(device)
    form = device.get("/-/auth/account/password").forms["account-password"]
    form["current_password"], form["password"] = PASSWORD, "midori-no-oka-to-kaze"
    before = list(device.cookiejar)
    form.submit(status=303)
    if not arrived:
        for cookie in before:
            device.cookiejar.set_cookie(cookie)
    page = form.submit(status=303).follow()
    assert "changed once" in page.text
    assert bool(page.forms.get("login")) is not arrived
    assert sign_in(browser(auth), password="midori-no-oka-to-kaze").status_int == 303


def test_ak12_what_was_corrected_or_refused_is_sent_anew(boss: TestApp) -> None:
    form = blank(boss)
    form["password"] = "kurz"
    form.submit(status=422)
    form.submit(status=422)
    form["password"] = PASSWORD
    form.submit(status=200)
    form["email"] = "suzuki@nippo.invalid"
    form.submit(status=200)


def test_ak12_the_id_counts_for_its_form_and_a_minute(auth: Any, boss: TestApp) -> None:
    user = person(auth)
    fields = {"active": "0", "form_id": "a" * 22}
    boss.post(f"/-/auth/staff/{user.id}/active", fields, status=303)
    auth.accounts.set_active(user.id, True)
    boss.post(f"/-/auth/staff/{user.id}/active", fields, status=303)
    assert auth.accounts.get(user.id).active, "the second press"
    other = person(auth, "suzuki@example.com")
    boss.post(f"/-/auth/staff/{other.id}/active", fields, status=303)
    assert not auth.accounts.get(other.id).active
    with time_machine.travel(time.time() + 61, tick=False):
        boss.post(f"/-/auth/staff/{user.id}/active", fields, status=303)
    assert not auth.accounts.get(user.id).active, "later"


def test_ak12_a_program_is_never_taken_for_a_second_press(boss: TestApp) -> None:
    sent = {"email": "sato@nippo.invalid", "form_id": "a" * 22}
    boss.post_json("/-/auth/staff/create", sent, status=200)
    assert boss.post_json("/-/auth/staff/create", sent, status=422).json["code"] == "email_taken"
    for odd in ("", "a" * 65):
        boss.post("/-/auth/staff/create", {**sent, "form_id": odd}, status=422)


class Held:
    """A view that waits in its midst."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        view = staff_handover._create

        def held(web: Any, request: Any) -> Any:
            self.begun.set()
            assert self.go_on.wait(10)
            return view(web, request)

        monkeypatch.setattr(staff_handover, "_create", held)

    @contextmanager
    def pressed(self, form: Any, **submit: Any) -> Iterator[list[Any]]:
        """A first press that is at work in the block."""
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(form.submit(expect_errors=True)))
        thread.start()
        assert self.begun.wait(10)
        yield answers
        self.go_on.set()
        thread.join(10)


@pytest.mark.parametrize("password", ["", "kurz"])
def test_ak12_a_second_press_waits_for_the_first(
    auth: Any, boss: TestApp, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    form = blank(boss)
    form["password"] = password
    held = Held(monkeypatch)
    monkeypatch.setattr(one_time_forms, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(one_time_forms.time, "sleep", lambda _: held.go_on.set())
    with held.pressed(form) as answers:
        second = form.submit(expect_errors=True)
    assert answers[0].status_int == (422 if password else 200)
    assert second.status_int == (422 if password else 200), "the first was refused, so the second is a first one"


def test_ak12_one_that_would_wait_for_too_long_is_told_so(boss: TestApp, monkeypatch: pytest.MonkeyPatch) -> None:
    form, held = blank(boss), Held(monkeypatch)
    monkeypatch.setattr(one_time_forms, "_WAIT", 0.0)
    with held.pressed(form) as answers:
        assert form.submit(status=503).headers["Retry-After"] == "1"
    assert answers[0].status_int == 200


def test_ak12_a_list_that_takes_longer_than_a_minute_is_noted_until_a_minute_after_its_end(
    boss: TestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = {"emails": "sato@nippo.invalid", "confirm": "1", "form_id": "a" * 22}
    monkeypatch.setattr(one_time_forms, "_WAIT", 0.0)
    create = staff_bulk.create_many
    with time_machine.travel(time.time(), tick=False) as clock:

        def slow(*given: Any, **more: Any) -> Any:
            clock.shift(90)
            assert boss.post("/-/auth/staff/bulk", sent, status=503).headers["Retry-After"]
            return create(*given, **more)

        monkeypatch.setattr(staff_bulk, "create_many", slow)
        first = boss.post("/-/auth/staff/bulk", sent, status=200).text
        assert len(shown(first)) == 1
        for _ in range(2):
            clock.shift(25)
            assert shown(boss.post("/-/auth/staff/bulk", sent, status=200).text) == shown(first)
        clock.shift(11)
        monkeypatch.setattr(staff_bulk, "create_many", create)
        assert shown(boss.post("/-/auth/staff/bulk", sent, status=200).text) == []


def test_ak12_counters_out_of_reach_make_each_press_a_first_one(
    boss: TestApp, auth: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = blank(boss)

    def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("the counters cannot be reached")

    for name in ("incr", "get", "clear"):
        monkeypatch.setattr(auth._services.counters, name, away)
    form.submit(status=200)
    assert "already" in form.submit(status=422).text


def test_ak12_the_id_is_random(boss: TestApp) -> None:
    text = boss.get("/-/auth/account").text + boss.get("/-/auth/account").text
    ids = re.findall(r'name="form_id" value="([^"]+)"', text)
    assert len(ids) == len(set(ids)) == 2
    assert min(map(len, ids)) >= 22


@pytest.mark.parametrize("path", ["staff/bulk", "staff/{id}/invite"])
def test_ak14_no_second_press_shows_what_another_administrator_made(auth: Any, boss: TestApp, path: str) -> None:
    """The account would be taken over, and the audit log would name the other administrator alone."""
    second = administrator(auth, "kanri2@example.com")
    boss.post("/-/auth/staff/create", {"email": "sato@nippo.invalid", "invite": "1"}, status=200)
    user = auth.accounts.find("sato@nippo.invalid")
    form = {"emails": "sato@nippo.invalid", "invite": "1", "confirm": "1", "role": "staff", "form_id": "x" * 22}
    if path != "staff/bulk":
        second.post(f"/-/auth/{path.format(id=user.id)}", form, status=200)
        boss.post(f"/-/auth/staff/{user.id}/invite", {}, status=200)
    pages = [second.post(f"/-/auth/{path.format(id=user.id)}", form).maybe_follow() for _ in range(2)]
    assert not any(page.html.select(".slip .link") for page in pages)
