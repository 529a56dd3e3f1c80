"""A page of another origin of the same site, whose requests bring the session cookie, in a real browser."""

from __future__ import annotations

from nipo_auth_mw import AuthConfig, AuthMiddleware
from nipo_auth_mw.testing import in_memory
from tests.browser.test_returning import page_of, served
from tests.kit import PASSWORD, person

PROBE = """async (url) => {
    const seen = (element) => new Promise((tell) => {
        for (const kind of ["load", "error"]) element.addEventListener(kind, () => tell(kind));
        document.head.append(element);
    });
    const link = (facts) => Object.assign(document.createElement("link"), facts, { href: url });
    const found = [];
    for (const facts of [{ rel: "prefetch" }, { rel: "preload", as: "fetch" }, { rel: "stylesheet" }]) {
        found.push(await seen(link(facts)));
    }
    for (const name of ["script", "img"]) {
        found.push(await seen(Object.assign(document.createElement(name), { src: url })));
    }
    found.push(await fetch(url, { mode: "no-cors", credentials: "include" }).then(() => "load", () => "error"));
    return found.join();
}"""


def test_hd7_a_page_of_a_sibling_learns_by_no_load_who_is_signed_in(new_browser):
    """Another port of localhost is another origin of the same site, as another sub-domain is."""
    with served(lambda *given: auth(*given)) as url, served(page_of) as sibling:
        config = AuthConfig(secret_key="for the tests of a browser alone, x", base_url=url)
        auth = AuthMiddleware(page_of, **{**in_memory(), "config": config})
        person(auth, "boss@example.com", role="admin")
        told = set()
        for email in ("", "boss@example.com"):
            page = new_browser().new_page()
            if email:
                page.goto(f"{url}/-/auth/login")
                page.fill("#email", email)
                page.fill("#password", PASSWORD)
                page.click("#login button.main")
                page.wait_for_selector("#there")
            page.goto(sibling)
            for route in ("session", "forward?role=admin", "staff", "account"):
                told.add(page.evaluate(PROBE, f"{url}/-/auth/{route}"))
        assert len(told) == 1
