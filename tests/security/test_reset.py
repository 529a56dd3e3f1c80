"""Rows RS, HO1, EN4, EN5, EN7, MA1-MA4 and KY2 of the forgotten password."""

from __future__ import annotations

import html
import re
import threading
import time
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa
import time_machine

from benchmarks.alike import Posted
from nipo_auth_mw._mail.addresses import canonical
from nipo_auth_mw.errors import MailerError
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, link_in
from tests.each import each
from tests.kit import PASSWORD, events, middleware, person
from tests.security.corpora import addresses, hosts
from tests.security.corpora.texts import LANGUAGES, MARKUP
from tests.security.tools import HTTPS, ask, login, rows, signed_in, who

NEW = "midori-no-oka-to-kaze"


@pytest.fixture
def auth():
    auth = middleware(base_url=HTTPS, mailer=MemoryMailer())
    auth.tanaka = person(auth)
    auth.outbox = auth._services.outbox._mailer.outbox
    return auth


class Waiting(MemoryMailer):
    """A server that takes its mail when it is let go, and not at all when it is broken."""

    def __init__(self, *, broken=False):
        super().__init__()
        self.broken, self.go, self.asked = broken, threading.Event(), threading.Event()

    def send(self, message):
        self.asked.set()
        if self.broken:
            raise MailerError("451 try again later")
        self.go.wait(10)
        super().send(message)


def forgot(auth, email="tanaka@example.com", **environ):
    return ask(auth, "POST", "/-/auth/forgot", form={"email": email}, **environ)


def path_of(auth):
    return link_in(auth.outbox[-1]).removeprefix(HTTPS)


def set_new(auth, path, password=NEW, **more):
    return ask(auth, "POST", path, form={"password": password}, **more)


def stripped(answer):
    """The answer without its date, its length and the typed address, which the page shows."""
    headers = [pair for pair in answer.headers if pair[0] not in ("Date", "Content-Length")]
    text = re.sub(r'If .* is registered,|name="email" value="[^"]*"', "", answer.text)
    return answer.status, headers, text


@pytest.mark.parametrize("proxies", [0, 1])
@pytest.mark.parametrize("host", hosts.EVIL)
def test_ho1_a_link_begins_with_base_url_whatever_the_host(host, proxies):
    mailer = MemoryMailer()
    auth = middleware(base_url=HTTPS, mailer=mailer, trusted_proxies=proxies)
    for number, header in enumerate(("HTTP_HOST", *hosts.OTHER_HEADERS)):
        person(auth, f"person{number}@example.com")
        del mailer.outbox[:]
        assert forgot(auth, f"person{number}@example.com", **{header: host}).status == 200
        (mail,) = mailer.outbox
        assert re.findall(r"https?:[^\s\"<]+", mail.text + mail.html) == [link_in(mail)] * 3
        assert link_in(mail).startswith(f"{HTTPS}/-/auth/reset/")
        assert host not in mail.text + mail.html


@pytest.mark.parametrize("host", ["evil.example", "app.example@evil.example", "evil.example:443"])
def test_ho1_every_other_mail_leads_to_base_url_too(auth, host):
    named = dict.fromkeys(("HTTP_HOST", *hosts.OTHER_HEADERS), host)
    mine = signed_in(auth, HTTP_USER_AGENT="one", **named)
    signed_in(auth, HTTP_USER_AGENT="another", **named)
    change = {"email": "hanako@example.com", "password": PASSWORD}
    ask(auth, "POST", "/-/auth/account/email", form=change, cookie=mine, **named)
    ask(auth, "POST", "/-/auth/account/profile", form={"notify_email": "else@example.com"}, cookie=mine, **named)
    for _ in range(5):
        login(auth, password="wrong", **named)
    assert len(auth.outbox) >= 6
    for mail in auth.outbox:
        links = re.findall(r"https?:[^\s\"<]+", mail.text + mail.html)
        assert all(link.startswith(f"{HTTPS}/-/auth/") for link in links), mail.subject
        assert "evil" not in mail.text + mail.html + mail.subject


@pytest.mark.parametrize("sent", ["form", "data"])
def test_en4_one_answer_for_known_unknown_disabled_invited_locked_and_flooded(auth, sent):
    auth.accounts.create(email="invited@example.com")
    person(auth, "disabled@example.com", active=False)
    person(auth, "locked@example.com")
    for _ in range(6):
        login(auth, "locked@example.com", "machigai-password", REMOTE_ADDR="198.51.100.1")
    del auth.outbox[:]
    typed = ["tanaka", "nobody", "disabled", "invited", "locked"] + ["tanaka"] * 8
    answers = [ask(auth, "POST", "/-/auth/forgot", **{sent: {"email": f"{name}@example.com"}}) for name in typed]
    assert len({str(stripped(answer)) for answer in answers}) == 1
    # What cannot be an address tells nothing of an account.
    for text in ("", "no address", "x" * 999):
        assert ask(auth, "POST", "/-/auth/forgot", **{sent: {"email": text}}).status == 422
    assert answers[0].status == 200
    assert sorted(mail.to for mail in auth.outbox) == [
        "invited@example.com",
        "locked@example.com",
        "tanaka@example.com",
    ]


@pytest.mark.parametrize("broken", [False, True])
def test_en5_a_mail_server_that_hangs_or_fails_shows_in_no_answer(broken):
    mailer = Waiting(broken=broken)
    auth = middleware(base_url=HTTPS, mailer=mailer)
    person(auth)
    answers = [stripped(forgot(auth, f"{name}@example.com")) for name in ("tanaka", "nobody")]
    assert mailer.outbox == [], "the answer was there before the mail had left"
    assert answers[0] == answers[1]
    for _ in range(5):
        login(auth, password="machigai-password")
    assert mailer.asked.wait(10), "it was tried in the background"
    mailer.broken = False
    mailer.go.set()
    # The try that was going on may still have met the broken server, and each flush tries once.
    assert auth.flush_mail(10) or auth.flush_mail(10)
    assert [mail.to for mail in mailer.outbox] == ["tanaka@example.com"] * 2


@each("number, typed", enumerate(addresses.REFUSED))
def test_ma1_an_odd_address_gets_the_same_answer_or_is_told_and_gets_no_mail(auth, number, typed):
    client = {"REMOTE_ADDR": f"198.51.100.{number}"}
    answer = forgot(auth, typed, **client)
    if canonical(typed) is None:
        assert answer.status == 422
    else:
        assert stripped(answer) == stripped(forgot(auth, "nobody@example.com", **client))
    assert auth.outbox == []


@pytest.mark.parametrize(
    "typed", ["TANAKA@EXAMPLE.COM", " Tanaka@Example.com ", "tanaka@EXAMPLE.com", "\u3000tanaka@example.com"]
)
def test_ma2_another_spelling_of_an_address_gets_its_mail_at_the_stored_one(auth, typed):
    forgot(auth, typed)
    assert [mail.to for mail in auth.outbox] == ["tanaka@example.com"]


@pytest.mark.parametrize("typed", ["tana\u212aa@example.com", "tanaka@\u0435xample.com", "t\u0430naka@example.com"])
def test_ma2_a_look_alike_of_an_address_gets_no_mail(auth, typed):
    forgot(auth, typed)
    assert auth.outbox == []


@pytest.mark.parametrize(
    "body",
    [
        b"email=tanaka@example.com&email=evil@evil.example",
        b"email=evil@evil.example&email=tanaka@example.com",
        b"email[]=tanaka@example.com&email[]=evil@evil.example",
        b"email=tanaka@example.com,evil@evil.example",
        b"email=tanaka@example.com;evil@evil.example",
        b"email=tanaka@example.com%0aevil@evil.example",
        b"email=tanaka@example.com%00evil@evil.example",
        b"email=tanaka@example.com&to=evil@evil.example&notify_email=evil@evil.example",
    ],
)
def test_ma2_a_mail_goes_to_the_stored_address_or_nowhere(auth, body):
    kind = "application/x-www-form-urlencoded"
    ask(auth, "POST", "/-/auth/forgot", body=body, CONTENT_TYPE=kind)
    ask(auth, "POST", "/-/auth/forgot", data={"email": ["tanaka@example.com", "evil@evil.example"]})
    assert {mail.to for mail in auth.outbox} <= {"tanaka@example.com"}


class Tags(HTMLParser):
    """The tags of a page with their attributes, but where links lead."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, [pair for pair in attrs if pair[0] not in {"href", "lang"}]))


def mailed(auth, email="tanaka@example.com", **environ):
    forgot(auth, email, **environ)
    return auth.outbox[-1]


@pytest.mark.parametrize("name", MARKUP)
def test_ma4_a_name_an_agent_or_a_client_address_adds_nothing_to_a_mail(auth, name):
    person(auth, "plain@example.com", name="Plain")
    plain = mailed(auth, "plain@example.com", HTTP_USER_AGENT="Firefox/1.0")
    person(auth, "named@example.com", name=name[:80])
    latin = name.encode().decode("latin-1")
    mail = mailed(auth, "named@example.com", HTTP_USER_AGENT=f"{latin} Firefox/1.0 {latin}", REMOTE_ADDR=name)
    assert Tags(mail.html).found == Tags(plain.html).found
    assert (mail.subject, mail.text.count("\n")) == (plain.subject, plain.text.count("\n"))
    assert html.escape(name[:64]) in mail.html.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")


@pytest.mark.parametrize("email", ["{{7*7}}@example.com", "{%25x%25}'&lt@example.com", "%s{0.__class__}@example.com"])
def test_ma4_an_address_stands_in_its_mail_as_it_is(auth, email):
    plain = mailed(auth)
    person(auth, email)
    mail = mailed(auth, email)
    assert email in mail.text
    assert html.escape(email, quote=False) in html.unescape(mail.html).replace("&", "&amp;")
    assert Tags(mail.html).found == Tags(plain.html).found


@pytest.mark.parametrize("language", LANGUAGES)
def test_ma4_a_language_adds_nothing_to_a_mail(auth, language):
    plain = mailed(auth)
    person(auth, "other@example.com")
    latin = language.encode().decode("latin-1")
    mail = mailed(auth, "other@example.com", HTTP_ACCEPT_LANGUAGE=latin, cookie=f"nipo_lang={latin}")
    assert Tags(mail.html).found == Tags(plain.html).found
    assert mail.subject.isprintable()
    assert mail.html.count(" lang=") == plain.html.count(" lang=")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "null",
        "undefined",
        "0",
        "9" * 400,
        "x" * 10_000,
        "\x00",
        "..",
        "a.b.c.d",
        "....",
        "\xff\xfe",
        "MQ.1764000000." + "0" * 64,
        "MQ.1764000000." + "0" * 64 + "." + "A" * 43,
        "eyJhbGciOiJub25lIn0.eyJ1c2VyX2lkIjoiMSJ9.",
    ],
)
def test_rs6_odd_tokens_match_nothing(auth, token):
    forgot(auth)
    began = time.thread_time()
    for method, sent in (("GET", {}), ("POST", {"form": {"password": NEW}}), ("POST", {"data": {"password": NEW}})):
        assert ask(auth, method, f"/-/auth/reset/{token}", **sent).status == 410
    assert time.thread_time() - began < 0.5
    assert login(auth).status == 303


def test_rs6_no_part_of_a_token_is_one(auth):
    forgot(auth)
    path = path_of(auth)
    head, _, token = path.rpartition("/")
    *_, stamp, signature = token.split(".")
    assert len(stamp) == 64
    assert len(signature) == 43, "each of 256 bits"
    parts = {token[:length] for length in range(len(token))} | {token[length:] for length in range(1, len(token))}
    flipped = {token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :] for n in range(len(token))}
    longer = {token + "A", "A" + token, token.upper(), token.lower(), token + "." + token}
    for other in parts | flipped | longer:
        assert ask(auth, "GET", f"{head}/{other}").status == 410, other
    assert ask(auth, "GET", path).status == 200


def test_rs6_no_two_tokens_are_alike(auth):
    tokens = set()
    for number in range(50):
        other = person(auth, f"person{number}@example.com")
        forgot(auth, other.email, REMOTE_ADDR=f"198.51.100.{number}")
        tokens.add(path_of(auth).rpartition(".")[2])
    assert len(tokens) == 50


@pytest.mark.parametrize("language", ["ja", "en"])
def test_en7_every_link_that_is_no_longer_good_gets_one_page(auth, language):
    def refused(path, method):
        form = {"password": NEW + "2"} if method == "POST" else None
        answer = ask(auth, method, path, form=form, HTTP_ACCEPT_LANGUAGE=language)
        hidden = re.compile(r'(name="next" value=")[^"]*')
        length = [
            ("Content-Length", "*") if name == "Content-Length" else (name, value) for name, value in answer.headers
        ]
        return answer.status, length, hidden.sub(r"\1*", answer.text)

    def links(email):
        """One of each kind, that `email` gets by mail."""
        forgot(auth, email)
        reset = path_of(auth)
        cookie, form = signed_in(auth, email), {"email": f"new.{email}", "password": PASSWORD}
        assert ask(auth, "POST", "/-/auth/account/email", form=form, cookie=cookie).status == 303
        return [reset, *(link_in(mail).removeprefix(HTTPS) for mail in auth.outbox[-2:])]

    with time_machine.travel(1_800_000_000, tick=False) as clock:
        person(auth, "expired@example.com")
        expired = links("expired@example.com")
        clock.shift(9 * 86400)
        disabled = person(auth, "disabled@example.com")
        dead = links("disabled@example.com")
        auth.accounts.set_active(disabled.id, False)
        used = links("tanaka@example.com")
        for path in used:
            ask(auth, "POST", path, form={"password": NEW})
        good = links("expired@example.com") if login(auth, "expired@example.com").status == 303 else []
        for kind in ("reset", "email/confirm", "email/cancel"):
            where = f"/-/auth/{kind}/"
            paths = [path for path in (*expired, *dead, *used) if path.startswith(where)]
            paths += [where + path.rpartition("/")[2] for path in good if not path.startswith(where)]
            paths += [where + token for token in ("x", "a.b.c.d.e", "x" * 2000, "")]
            assert len(paths) == 9
            for method in ("GET", "POST"):
                answers = [refused(path, method) for path in paths]
                assert answers[0][0] == 410
                assert all(answer == answers[0] for answer in answers)


def test_rs4_a_token_is_bound_to_its_user(auth):
    other = person(auth, "suzuki@example.com")
    forgot(auth)
    path = path_of(auth)
    form = {"password": NEW, "email": "suzuki@example.com", "user_id": other.id, "user": other.id, "id": other.id}
    assert ask(auth, "POST", path, query=f"user_id={other.id}&email=suzuki@example.com", form=form).status == 303
    assert login(auth, "suzuki@example.com").status == 303
    assert login(auth, password=NEW).status == 303


def test_rs4_a_token_is_bound_to_its_purpose(auth):
    cookie, form = signed_in(auth), {"email": "new@example.com", "password": PASSWORD}
    assert ask(auth, "POST", "/-/auth/account/email", form=form, cookie=cookie).status == 303
    forgot(auth)
    mailed = [link_in(mail).removeprefix(f"{HTTPS}/-/auth/").rpartition("/") for mail in auth.outbox]
    assert sorted(kind for kind, _, _ in mailed) == ["email/cancel", "email/confirm", "reset"]
    for kind, _, _ in mailed:
        for other, _, token in mailed:
            for method in ("GET", "POST") if kind != other else ():
                answer = ask(auth, method, f"/-/auth/{kind}/{token}", form={"password": NEW})
                assert answer.status == 410, (kind, other)
    assert login(auth).status == 303
    assert auth.accounts.get(auth.tanaka.id).email == "tanaka@example.com"


def test_rs5_no_step_can_be_skipped(auth):
    asked = forgot(auth)
    token = path_of(auth).rpartition("/")[2]
    ask(auth, "GET", path_of(auth))
    browser = "; ".join(f"{name}={value}" for name, value in asked.cookies.items())
    for path in (
        "/-/auth/reset",
        "/-/auth/reset/",
        "/-/auth/reset//",
        "/-/auth/reset/x/y",
        "/-/auth/forgot/",
        "/-/auth/forgot/x",
    ):
        for more in ({}, {"query": f"token={token}"}, {"HTTP_REFERER": f"{HTTPS}/-/auth/reset/{token}"}):
            assert set_new(auth, path, cookie=browser, **more).status in {404, 410}
        form = {"password": NEW, "token": token, "email": "tanaka@example.com"}
        assert ask(auth, "POST", path, form=form, cookie=f"token={token}").status in {404, 410}
        assert ask(auth, "POST", path, data=form).status in {404, 410}
    assert login(auth).status == 303


def test_rs7_the_token_decides_not_the_session(auth):
    other = person(auth, "suzuki@example.com")
    suzuki = signed_in(auth, "suzuki@example.com")
    forgot(auth)
    path = path_of(auth)
    assert "suzuki" not in ask(auth, "GET", path, cookie=suzuki).text
    answer = set_new(auth, path, cookie=suzuki)
    assert answer.status == 303
    assert not [name for name in answer.cookies if "nipo_auth" in name]
    assert who(auth, suzuki) in {"", "-", other.id}
    assert login(auth, "suzuki@example.com").status == 303
    assert login(auth, "suzuki@example.com", NEW).status == 401
    assert login(auth, password=NEW).status == 303


@pytest.mark.parametrize("kind", ["reset", "email/confirm", "email/cancel"])
def test_rs8_looking_at_a_mailed_link_spends_nothing(auth, kind):
    cookie, form = signed_in(auth), {"email": "new@example.com", "password": PASSWORD}
    assert ask(auth, "POST", "/-/auth/account/email", form=form, cookie=cookie).status == 303
    forgot(auth)
    (path,) = [path for mail in auth.outbox if f"/{kind}/" in (path := link_in(mail).removeprefix(HTTPS))]
    for method in ("GET", "HEAD", "GET", "OPTIONS", "GET", "HEAD"):
        assert ask(auth, method, path).status == 200
    assert who(auth, cookie) == auth.tanaka.id
    assert set_new(auth, path).status == 303
    assert set_new(auth, path).status == 410


@pytest.mark.parametrize("kind", ["reset", "email/confirm", "email/cancel"])
def test_rs9_token_pages_name_no_other_origin(auth, kind):
    cookie, form = signed_in(auth), {"email": "new@example.com", "password": PASSWORD}
    ask(auth, "POST", "/-/auth/account/email", form=form, cookie=cookie)
    forgot(auth)
    (path,) = [path for mail in auth.outbox if f"/{kind}/" in (path := link_in(mail).removeprefix(HTTPS))]
    page = ask(auth, "GET", path)
    assert (page.get("Referrer-Policy"), page.get("Cache-Control")) == ("strict-origin", "no-store")
    urls = re.findall(r'(?:href|src|action)="([^"]*)"', page.text)
    assert len(urls) > 3
    assert all(re.match(r"#|/(?![/\\])", url) for url in urls)
    assert set_new(auth, path, HTTP_ORIGIN="null", HTTP_SEC_FETCH_SITE="same-origin").status == 303


def test_rs9_token_pages_leak_nothing_and_their_form_works(auth):
    forgot(auth)
    path = path_of(auth)
    for answer in (ask(auth, "GET", path), ask(auth, "GET", "/-/auth/reset/x"), set_new(auth, path, "kurz")):
        assert answer.get("Referrer-Policy") == "strict-origin"
        assert answer.get("Cache-Control") == "no-store"
    assert ask(auth, "GET", "/-/auth/forgot").get("Referrer-Policy") == "same-origin"
    refused = set_new(auth, path, HTTP_SEC_FETCH_SITE="cross-site", HTTP_ORIGIN="null")
    assert (refused.status, refused.get("Referrer-Policy")) == (403, "strict-origin")
    assert set_new(auth, path, HTTP_ORIGIN="null", HTTP_SEC_FETCH_SITE="same-origin").status == 303


def test_rs10_nobody_is_signed_in_by_a_link(auth):
    old = signed_in(auth)
    forgot(auth)
    answer = set_new(auth, path_of(auth))
    assert not [name for name in answer.cookies if "nipo_auth" in name]
    assert answer.get("Location") == "/-/auth/login"
    assert who(auth, old) in {"", "-"}
    assert rows(auth) == 0


def test_rs11_a_disabled_account_gets_no_link_and_an_old_one_does_not_enable_it(auth):
    never = person(auth, "disabled@example.com", active=False)
    forgot(auth, never.email)
    assert auth.outbox == []
    forgot(auth)
    path = path_of(auth)
    auth.accounts.set_active(auth.tanaka.id, False)
    with time_machine.travel(time.time() + 61, tick=True):
        forgot(auth)
        assert len(auth.outbox) == 1
        assert ask(auth, "GET", path).status == 410
        assert set_new(auth, path).status == 410
        assert not auth.accounts.get(auth.tanaka.id).active
        assert login(auth, password=NEW).status == 401
        assert login(auth).status == 403


def test_ck4_nothing_of_a_token_is_kept(auth):
    forgot(auth)
    token = path_of(auth).rpartition("/")[2]
    set_new(auth, path_of(auth))
    written = repr(vars(auth._services.session_store)) + repr(events(auth))
    assert not any(part in written for part in token.split(".") if len(part) > 30)


def test_rd2_next_is_no_way_out_of_a_reset(auth):
    forgot(auth)
    form = {"password": NEW, "next": "https://evil.example/"}
    answer = ask(
        auth, "POST", path_of(auth), query="next=//evil.example", form=form, HTTP_REFERER="https://evil.example/"
    )
    assert answer.get("Location") == "/-/auth/login"


def test_refused_links_do_not_fill_the_history(auth):
    for number in range(50):
        ask(auth, "GET", f"/-/auth/reset/{number}")
    assert len(events(auth, "link_refused")) == 1


def test_en4_known_unknown_and_disabled_addresses_cost_the_same_statements(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'auth.db'}")
    statements = []
    sa.event.listen(engine, "connect", lambda connection, _: connection.set_trace_callback(statements.append))
    store = SQLStore(engine)
    store.create_schema()
    auth = middleware(base_url=HTTPS, mailer=Posted(), store=store)
    person(auth)
    person(auth, "disabled@example.com", active=False)
    forgot(auth, "warm@example.com")
    auth.flush_mail()
    counted = {}
    for round_, name in enumerate(["warm", "tanaka", "nobody", "disabled", "tanaka", "nobody", "disabled"]):
        del statements[:]
        assert forgot(auth, f"{name}@example.com", REMOTE_ADDR=f"198.51.100.{round_ // 4}").status == 200
        kinds = [re.sub(r"'[^']*'|\b[0-9.]+\b|NULL", "?", text) for text in statements]
        counted.setdefault(round_ > 3, []).append(kinds)
        auth.flush_mail()
    store.close()
    assert counted[False][1] == counted[False][2] == counted[False][3]
    assert counted[True][0] == counted[True][1] == counted[True][2]
    assert len(counted[False][1]) >= 5
