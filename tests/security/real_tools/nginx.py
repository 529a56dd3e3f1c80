"""nginx in front, with TLS: a proxy changes the request, and must not change cookies, links and addresses."""

from __future__ import annotations

import getpass
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from tests.security.real_tools.common import (
    MEMBER,
    Answer,
    Demo,
    Verdict,
    ask,
    cookie_header,
    demo,
    free_port,
    running,
    tool,
)

CONFIG = """
{user}
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/chain.pem;
        ssl_certificate_key {folder}/key.pem;
        {location}
    }}
}}
"""
PLAIN = "location / { proxy_pass http://127.0.0.1:0; }"
FORWARDED = """location %s {
            proxy_pass http://127.0.0.1:0%s;
            proxy_set_header Host $host:$server_port;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $host;
        }"""
# Any address of 127.0.0.0/8 is this machine, so a client can be told from the proxy.
CLIENT, OTHER_CLIENT = "127.0.0.2", "127.0.0.3"
FORGED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example"}
EMAIL, PASSWORD = MEMBER[:2]
ADDRESS_LIMIT = 50


class Front:
    """The demo behind nginx, as a browser sees it; keeps what was claimed and did not hold."""

    def __init__(self, site: Demo, base_url: str, trust: ssl.SSLContext) -> None:
        self.site, self.base_url, self.trust = site, base_url, trust
        self.mount = base_url.removeprefix("https://").partition("/")[2]
        self.mount = f"/{self.mount}" if self.mount else ""
        self.claims = 0
        self.broken: list[str] = []

    def ask(self, path: str, method: str = "GET", source: str = CLIENT, **more: object) -> Answer:
        answer = ask(f"{self.base_url}{path}", method, trust=self.trust, source=source, **more)  # type: ignore[arg-type]
        words = str([pair for pair in answer.headers if pair[0].lower() not in {"date", "server"}])
        upstream = self.site.url.removeprefix("http://").partition("/")[0]
        self.claim("no header names the upstream or a forged host", upstream not in words and "evil" not in words)
        self.claim("no page names the upstream", upstream not in answer.text)
        return answer

    def sign_in(self, password: str = PASSWORD, email: str = EMAIL, **more: object) -> Answer:
        form = {"email": email, "password": password, "remember": "1", "next": f"{self.mount}/"}
        return self.ask("/-/auth/login", "POST", form=form, **more)

    def claim(self, what: str, holds: bool) -> None:
        self.claims += 1
        if not holds and what not in self.broken:
            self.broken.append(what)

    def verdict(self, what: str) -> Verdict:
        words = f"did not hold: {'; '.join(self.broken)}" if self.broken else f"all {self.claims} claims hold"
        return Verdict(not self.broken, f"{what}: {words}")


def check(work: Path) -> Iterator[Verdict]:
    with behind(work / "plain", PLAIN) as front:
        the_door(front)
        its_own_origin(front)
        the_mail(front)
        yield front.verdict("a plain proxy_pass (its own Host, HTTP/1.0)")
    with behind(work / "forwarded", FORWARDED % ("/", ""), proxies=1) as front:
        the_door(front, FORGED)
        the_mail(front, FORGED)
        the_address(front, FORGED)
        the_limit(front)
        yield front.verdict("forwarded headers, the client's own forged")
    with behind(work / "control", FORWARDED % ("/", ""), proxies=0) as front:
        front.sign_in()
        the_address(front, FORGED)
        yield Verdict(bool(front.broken), "control: with trusted_proxies=0 the client's address is not found")
    with behind(work / "mounted", FORWARDED % ("/reports/", ""), proxies=1, mount="/reports") as front:
        the_door(front)
        the_mount(front)
        the_mail(front)
        yield front.verdict("mounted at /reports, SCRIPT_NAME from the server")
    location = FORWARDED % ("/reports/", "/")
    with behind(work / "cut", location, proxies=1, mount="/reports", script_name="") as front:
        the_mount(front)
        the_mail(front)
        yield front.verdict("mounted at /reports, which nginx cuts off")


def the_door(front: Front, headers: dict[str, str] | None = None) -> None:
    """Sign-in by the form: where it leads, and the flags of what it sets."""
    asked = front.ask("/", headers=headers)
    front.claim("a visitor is led to the sign-in page by a path", asked.status == 303)
    wanted = f"{front.mount}/-/auth/login?next={front.mount}/"
    front.claim("the way there and back has the mount once", asked.first("location") == wanted)
    answer = front.sign_in(headers=headers)
    front.claim("the right password signs in, to a path", answer.status == 303)
    front.claim("sign-in lands on what was asked for", answer.first("location") == f"{front.mount}/")
    cookies = answer.all("set-cookie")
    front.claim("three cookies are set", len(cookies) == 3)
    for cookie in cookies:
        name, _, rest = cookie.partition("=")
        flags = {flag.strip().lower() for flag in rest.split(";")[1:]}
        front.claim("cookies are __Host-", name.startswith("__Host-"))
        front.claim("cookies have their flags", {"secure", "httponly", "path=/", "samesite=lax"} <= flags)
        front.claim("cookies have no Domain", not any(flag.startswith("domain") for flag in flags))
    page = front.ask("/", headers={"Cookie": cookie_header(answer), **(headers or {})})
    front.claim("the cookies open the page", page.status == 200 and 'id="who"' in page.text)


def its_own_origin(front: Front) -> None:
    """Where a form came from is compared with base_url, since Host is the upstream's here."""
    origin = "https://" + front.base_url.removeprefix("https://").partition("/")[0]
    same = front.sign_in(headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"})
    front.claim("a form of our own origin is served", same.status == 303)
    front.claim("an older browser's form is served", front.sign_in(headers={"Origin": origin}).status == 303)
    for other in (front.site.url, "https://evil.example", "null"):
        front.claim("a form of another origin is refused", front.sign_in(headers={"Origin": other}).status == 403)
    sent = front.sign_in(headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"})
    front.claim("a form from another site is refused", sent.status == 403)
    forged = front.ask("/-/auth/login", headers={"Host": "evil.example"})
    front.claim("a forged Host changes nothing on the page", forged.status == 200 and "evil" not in forged.text)


def the_mail(front: Front, headers: dict[str, str] | None = None) -> None:
    """The forgotten password, from the page to the link in the mail and the new password."""
    asked = front.ask(
        "/-/auth/forgot", "POST", form={"email": EMAIL}, headers={**(headers or {}), "Host": "evil.example"}
    )
    front.claim("a mail can be asked for", asked.status == 200)
    link = front.site.wait_for(r"\S+/-/auth/reset/\S+")
    front.claim("the link begins with base_url", link.startswith(f"{front.base_url}/-/auth/reset/"))
    front.claim("no mail names another host", "evil" not in front.site.output)
    path = link.removeprefix(front.base_url)
    page = front.ask(path) if path.startswith("/") else None
    if page is None or page.status != 200:
        return front.claim("the link opens a page", False)
    action = re.search(r'id="reset" action="([^"]*)"', page.text)
    front.claim("its form is sent to itself", action is not None and action[1] == front.mount + path)
    new = "atarashii-kagi-no-oto"
    front.claim("the new password is set", front.ask(path, "POST", form={"password": new}).status in {200, 303})
    front.claim("the new password signs in", front.sign_in(new).status == 303)


def the_address(front: Front, headers: dict[str, str]) -> None:
    front.sign_in("chigau-aikotoba", "nobody@example.com", headers=headers)
    found = front.site.history("sign_in_failed")[0].client_address
    front.claim(f"the history has the client's address (it has {found})", found == CLIENT)
    found = front.site.history("signed_in")[0].client_address
    front.claim(f"the history has the client's address (it has {found})", found == CLIENT)


def the_limit(front: Front) -> None:
    """A new forged address with every guess does not make a new client."""
    for number in range(ADDRESS_LIMIT):
        forged = {"X-Forwarded-For": f"203.0.113.{number}"}
        answer = front.sign_in("chigau-aikotoba", f"nobody{number}@example.com", headers=forged)
    front.claim("guesses are limited by the true address", answer.status == 429)
    other = front.sign_in("chigau-aikotoba", "another@example.com", source=OTHER_CLIENT)
    front.claim("another client is not limited by that", other.status == 401)


def the_mount(front: Front) -> None:
    """Every link of a page has the mount once, and leads somewhere."""
    page = front.ask("/-/auth/login")
    links = re.findall(r'(?:href|src|action)="([^"#]+)"', page.text)
    front.claim("the page has links", len(links) >= 5)
    front.claim("links have the mount once", all(re.fullmatch(r"/reports/(?!reports).*", link) for link in links))
    for link in links:
        found = front.ask(link.removeprefix("/reports"))
        front.claim(f"{link} is answered", found.status in {200, 303, 405})
    style = front.ask(next(link for link in links if link.endswith(".css")).removeprefix("/reports"))
    front.claim("style sheets arrive as such", style.status == 200 and "text/css" in style.first("content-type"))
    form = {"lang": "ja", "next": "/reports/-/auth/login"}
    switched = front.ask("/-/auth/language", "POST", form=form)
    front.claim("the language's cookie is Secure too", "; secure" in switched.first("set-cookie").lower())
    front.claim("the language switch comes back", switched.first("location") == "/reports/-/auth/login")
    asked = front.ask("/-/auth/account").first("location")
    front.claim("next has the mount once", asked == "/reports/-/auth/login?next=/reports/-/auth/account")
    answer = front.sign_in()
    cookies = {"Cookie": cookie_header(answer)}
    front.claim("sign-in lands below the mount", answer.first("location") == "/reports/")
    account = front.ask("/-/auth/account", headers=cookies)
    front.claim("the account page opens", account.status == 200)
    left = front.ask("/-/auth/logout", "POST", form={}, headers=cookies).first("location")
    front.claim("sign-out stays below the mount", left == "/reports/-/auth/login")


@contextmanager
def behind(
    folder: Path, location: str, *, proxies: int = 0, mount: str = "", script_name: str | None = None
) -> Iterator[Front]:
    """The demo behind an nginx of its own; a 0 port in `location` is the demo's."""
    program = tool("nginx", "nginx-light")
    folder.mkdir(parents=True)
    trust = _certificate(folder)
    port, upstream = free_port(), free_port()
    base_url = f"https://localhost:{port}{mount}"
    location = location.replace("127.0.0.1:0", f"127.0.0.1:{upstream}")
    # Only root has to say whom the workers run as; the folder is closed to everybody else.
    user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(CONFIG.format(user=user, folder=folder, port=port, location=location))
    command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    name = mount if script_name is None else script_name
    with (
        demo(folder / "demo", base_url=base_url, proxies=proxies, mount=name, port=upstream) as site,
        running(command, port, folder / "output"),
    ):
        yield Front(site, base_url, trust)


def _certificate(folder: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    ours = authority.issue_cert("localhost")
    ours.private_key_pem.write_to_path(str(folder / "key.pem"))
    for pem in ours.cert_chain_pems:
        pem.write_to_path(str(folder / "chain.pem"), append=True)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return trust
