"""The page for people who cannot get in, and the small helps of the sign-in page."""

from __future__ import annotations

import importlib.util
import re
from datetime import timedelta
from pathlib import Path

import pytest

from nipo_auth_mw import LockoutPolicy, SessionPolicy, TwoStepPolicy
from nipo_auth_mw._flows.help import ADMIN_TOPICS, TOPICS
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._pages.catalogues import shipped
from nipo_auth_mw._web.problems import PROBLEMS, text_of, topic_of
from nipo_auth_mw.testing import MemoryMailer, code_of, enrol_app, link_in
from tests.kit import WRONG, browser, middleware, person, sign_in

DOCS = Path(__file__).parents[2] / "docs"
LOGIN = "http://localhost/-/auth/login"


@pytest.fixture
def auth():
    auth = middleware(mailer=MemoryMailer(), lockout=LockoutPolicy(failures=7))
    person(auth)
    return auth


@pytest.mark.parametrize(("language", "words"), [("ja", ("7回", "ドメイン指定受信")), ("en", ("7 wrong", "junk"))])
def test_help_is_linked_from_the_card_and_tells_of_this_configuration(auth, language, words):
    page = browser(auth, HTTP_ACCEPT_LANGUAGE=language)
    answer = page.get("/-/auth/login").click(href="/-/auth/help")
    assert all(word in answer.text for word in (*words, "noreply@example.com"))
    assert len(answer.html.find_all("summary")) == len(TOPICS)


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_copy_for_hosts_is_what_the_page_says(language):
    spec = importlib.util.spec_from_file_location("make_help", DOCS / "make_help.py")
    make_help = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_help)
    assert (DOCS / f"help.{language}.md").read_text("utf-8") == make_help.page(language)


def test_a_browser_that_keeps_no_cookie_is_told_so(auth):
    page = browser(auth)
    assert (
        "settings prevent signing in"
        in page.get("/-/auth/login?next=/page", headers={"Referer": f"{LOGIN}?next=/page"}).text
    )


@pytest.mark.parametrize(
    ("referer", "cookie"),
    [
        ("", ""),
        ("http://localhost/page", ""),
        ("http://localhost/-/auth/loginx", ""),
        ("http://evil.example/-/auth/login", ""),
        ("http://localhost:81/-/auth/login", ""),
        (LOGIN, "nipo_auth=x"),
        (LOGIN, "nipo_lang=ja"),
        (LOGIN, "nipo_device=x"),
    ],
)
def test_nobody_else_is_told_so(auth, referer, cookie):
    page = browser(auth)
    answer = page.get("/-/auth/login", headers={"Referer": referer, "Cookie": cookie})
    assert "settings prevent signing in" not in answer.text.replace("&#39;", "'")
    assert "ブラウザの設定により" not in answer.text


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("ＡＢＣ１２３", "full-width"),
        ("AKAI-YAMA", "all capitals"),
        ("かな", "full-width"),
        (WRONG, ""),
    ],
)
def test_a_keyboard_in_the_wrong_state_is_hinted_at_after_a_failure(auth, typed, words):
    known, unknown = (sign_in(browser(auth), email, typed) for email in ("tanaka@example.com", "nobody@example.com"))
    for answer in (known, unknown):
        assert answer.status_int == 401
        hint = answer.html.find(id="password-hint")
        assert words in hint.text
        assert bool(words) == bool(hint.text)
        assert typed not in answer.text


@pytest.mark.parametrize(("typed", "hinted"), [("げんば", True), ("げんば@example.com", True), ("genba", False)])
def test_kana_in_the_address_are_hinted_at_beside_the_address(auth, typed, hinted):
    page = sign_in(browser(auth), typed, WRONG).html
    assert bool(page.find(id="email-hint")) is hinted
    assert page.find(id="password-hint").text == ""
    described = page.find(id="email")["aria-describedby"].split()
    assert ("email-hint" in described) is hinted
    (focused,) = page.select("[autofocus]")
    assert focused["id"] == ("email" if hinted else "password")


def test_the_language_switch_comes_back_to_the_link_of_a_mail(auth):
    page = browser(auth)
    page.post("/-/auth/forgot", {"email": "tanaka@example.com"})
    path = link_in(auth._services.outbox._mailer.outbox[0]).removeprefix("http://localhost")
    form = page.get(path).forms["language"]
    form["lang"] = "ja"
    assert form.submit().location == path
    assert "新しいパスワードの設定" in page.get(path).text


def test_administrators_see_their_own_questions_and_each_question_has_an_address(auth):
    person(auth, "kanri@example.com", role="admin")
    mine, theirs = browser(auth), browser(auth)
    sign_in(mine)
    sign_in(theirs, "kanri@example.com")
    ids = {tag["id"] for tag in mine.get("/-/auth/help").html.select(".more[id]")}
    assert ids == set(TOPICS)
    ids = {tag["id"] for tag in theirs.get("/-/auth/help").html.select(".more[id]")}
    assert ids == {*TOPICS, *ADMIN_TOPICS}


def test_questions_about_two_steps_are_answered_where_there_are_two_steps(auth):
    person(auth, "kanri@example.com", role="admin")
    page = browser(auth)
    sign_in(page, "kanri@example.com")
    about = {topic for topic in (*TOPICS, *ADMIN_TOPICS) if "second" in topic}
    assert {"second_phone", "second_lost", "second_shared", "admin_second"} <= about
    assert about <= {tag["id"] for tag in page.get("/-/auth/help").html.select(".more[id]")}
    object.__setattr__(auth._services, "factors", None)
    assert {tag["id"] for tag in page.get("/-/auth/help").html.select(".more[id]")} == {*TOPICS, *ADMIN_TOPICS} - about


def test_a_refused_sign_in_leads_to_its_answer(auth):
    answer = sign_in(browser(auth), password=WRONG)
    link = answer.html.select_one(".notice a")["href"]
    assert link.partition("#")[2] in TOPICS


@pytest.mark.parametrize(
    ("settings", "shown"),
    [({}, {"second_code", "passkey", "passkey_fails"}), ({"two_step": TwoStepPolicy(passkeys=False)}, {"second_code"})],
)
def test_passkeys_are_explained_where_there_are_some(settings, shown):
    page = browser(middleware(**settings)).get("/-/auth/help")
    assert {one["id"] for one in page.html.select(".more")} & {"second_code", "passkey", "passkey_fails"} == shown


def test_a_refusal_leads_to_the_answer_to_it(auth):
    """A lock of codes is not lifted by another password, as one of passwords is."""
    key, device = enrol_app(auth, auth.accounts.find("tanaka@example.com")), browser(auth)
    sign_in(device)
    wrong = str((int(code_of(key)) + 1) % 10**6).zfill(6)
    topics = []
    for _ in range(8):
        page = device.post("/-/auth/login/second", {"code": wrong}, expect_errors=True)
        topics.append(page.html.select_one(".notice a")["href"])
    assert page.status_int == 429
    topics.append(sign_in(browser(auth), password=WRONG).html.select_one(".notice a")["href"])
    refused = browser(auth).post("/-/auth/login/passkey", {"credential": "{}"}, expect_errors=True)
    topics.append(refused.html.select_one(".notice a")["href"])
    assert topics == [f"/-/auth/help#{name}" for name in (*["second_code"] * 8, "refused", "passkey_fails")]
    ids = {one["id"] for one in browser(auth).get("/-/auth/help").html.select(".more")}
    assert {topic.partition("#")[2] for topic in topics} <= ids


def test_every_refusal_with_more_to_tell_leads_to_a_question_that_its_reader_sees(auth):
    told = {key.split(".")[1] for key in shipped("en") if key.startswith("problem.")}
    pairs = [(code, detail) for code, kind in PROBLEMS.items() for detail in ("", *kind.details)]
    assert all(set(kind.topics) <= set(kind.details) for kind in PROBLEMS.values())
    assert {topic_of(*pair) for pair in pairs} - {""} <= {*TOPICS, *ADMIN_TOPICS}
    person(auth, "kanri@example.com", role="admin")
    for email, wanted in (("tanaka@example.com", TOPICS), ("kanri@example.com", (*TOPICS, *ADMIN_TOPICS))):
        page = browser(auth)
        sign_in(page, email)
        cookies = "; ".join(f"{one.name}={one.value}" for one in page.cookiejar)
        request = auth._web.request(
            {"PATH_INFO": "/-/auth/account", "HTTP_ACCEPT": "text/html", "HTTP_COOKIE": cookies}
        )
        auth._web.identify(request)
        values = dict.fromkeys(("lasts", "until", "email", "most", "about", "address", "mount"), "x")
        for code, detail in pairs:
            if text_of(code, detail) not in told:
                continue  # this code has no text but those of its details
            html = auth._web.answers.refuse(request, Refused(code, detail=detail, values=values)).get_data(True)
            topics = re.findall('href="/-/auth/help#(.*?)"', html)
            assert topics == [one for one in [topic_of(code, detail)] if one in wanted], (code, detail)


def test_a_list_that_cannot_be_read_leads_to_how_it_is_written(auth):
    person(auth, "kanri@example.com", role="admin")
    page = browser(auth)
    sign_in(page, "kanri@example.com")
    answer = page.post("/-/auth/staff/bulk", {"emails": ""}, status=422)
    assert answer.html.select_one(".notice a")["href"] == "/-/auth/help#admin_import"
    assert answer.html.select_one(".notice a").text == "Get help"


@pytest.mark.parametrize(("language", "quoted"), [("ja", "「(.+?)」"), ("en", "“(.+?)”")])
def test_the_answers_quote_the_pages_as_they_read(language, quoted):
    texts = shipped(language)
    told = [text for key, text in texts.items() if key.startswith(("help.", "problem.", "mail.", "ending."))]
    found = [word for text in told for word in re.findall(quoted, text)]
    subjects = [re.split("】|: ", text)[1] for key, text in texts.items() if re.fullmatch("mail.+subject", key)]
    of_others = ("プライバシー、検索、サービス", "ブラウザーを閉じるたびにクリアするデータを選択する")
    of_others += ("Privacy, search, and services", "Choose what to clear every time you close the browser")
    of_others += ("CSV UTF-8（コンマ区切り）", "CSV UTF-8 (Comma delimited)", "CSV UTF-8")
    of_others += ("Excelブック（.xlsx）", "自動設定")
    typed = ("2026/04/01", "yamada@example.jp", "{about}", "nipo-auth user import")
    typed += ("nipo-auth user security", "nipo-auth user password")
    assert found
    assert [word for word in found if word not in (*texts.values(), *subjects, *of_others, *typed)] == []


@pytest.mark.parametrize(
    ("idle", "ja", "en"),
    [
        (timedelta(hours=12), "12時間以上使わなかった", "after 12 hours without use"),
        (timedelta(days=1), "24時間以上使わなかった", "after 24 hours without use"),
        (timedelta(days=30), "30日間以上使わなかった", "after 30 days without use"),
    ],
)
def test_a_short_session_is_told_in_hours(idle, ja, en):
    auth = middleware(session=SessionPolicy(idle=idle, absolute=timedelta(days=400)))
    for language, words in (("ja", ja), ("en", en)):
        assert words in browser(auth, HTTP_ACCEPT_LANGUAGE=language).get("/-/auth/help").text
