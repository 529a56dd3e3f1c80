"""What an administrator hands over: the card on the screen, on paper, and in the hands of its owner."""

from __future__ import annotations

import re
import threading

import pytest

from tests._services import expect
from tests.browser.test_door import PHONE, opened, sign_in
from tests.browser.test_stories import signed_in
from tests.browser.walks import ADMIN, NEW

A4, A6 = (210, 297), (105, 148)
YAMADA = "yamada@dummy.invalid"


def printed(page):
    """The sizes in millimetres of the pages that the browser prints."""
    paper = page.pdf(prefer_css_page_size=True)
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", paper)
    return [(round(float(wide) / 72 * 25.4), round(float(high) / 72 * 25.4)) for wide, high in boxes]


def on_paper(page):
    """The text that is left on paper."""
    page.emulate_media(media="print")
    text = page.locator("body").inner_text()
    page.emulate_media(media="screen")
    return text


def added(demo, boss, *, invite=False):
    """Add a person without a mailbox, whose card is on the page then."""
    boss.goto(f"{demo.url}/-/auth/staff/create")
    boss.locator("#name").fill("山田 花子")
    boss.locator("#email").fill(YAMADA)
    if invite:
        boss.locator("#invite").check()
    boss.locator("#staff-create button[type=submit]").click()
    expect(boss.locator(".slip")).to_be_visible()


@pytest.mark.parametrize("language", ["ja-JP", "en-GB"])
def test_a_new_account_is_one_card_of_a6_that_lets_its_owner_in(demo, new_browser, language):
    boss = signed_in(new_browser(language), demo, ADMIN)
    added(demo, boss)
    password = boss.locator(".slip .big").inner_text()
    assert printed(boss) == [A6]
    paper = on_paper(boss)
    for told in ("山田 花子", YAMADA, password, "/-/auth/login"):
        assert told in paper
    assert not [text for text in boss.locator("main :is(button, .button)").all_inner_texts() if text in paper]
    yamada = opened(new_browser(language, **PHONE), demo)
    sign_in(yamada, YAMADA, password)
    yamada.locator("#password").fill(NEW)
    yamada.locator("#account-password button.main").click()
    expect(yamada.locator("#who")).to_be_visible()


def test_the_card_can_be_copied_and_printed(demo, new_browser):
    context = new_browser(permissions=["clipboard-read", "clipboard-write"])
    boss = signed_in(context, demo, ADMIN)
    boss.add_init_script("window.print = () => { window.asked = true; }")
    added(demo, boss)
    boss.locator(".slip [data-copy]").click()
    assert boss.evaluate("navigator.clipboard.readText()") == boss.locator(".slip .big").inner_text()
    boss.locator("[data-print]").click()
    assert boss.evaluate("window.asked")


def test_an_invitation_without_a_mailbox_is_a_card_whose_link_sets_the_password(demo, new_browser):
    boss = signed_in(new_browser(), demo, ADMIN)
    added(demo, boss, invite=True)
    link = boss.locator(".slip .link").inner_text()
    assert printed(boss) == [A6]
    assert link in on_paper(boss)
    yamada = new_browser(**PHONE).new_page()
    yamada.goto(link)
    yamada.locator("#password").fill(NEW)
    yamada.locator("main form button.main").click()
    expect(yamada.locator("#login #email")).to_have_value(YAMADA)
    sign_in(yamada, YAMADA, NEW)
    expect(yamada.locator("#who")).to_contain_text("山田 花子")
    yamada.goto(link)
    expect(yamada.get_by_role("heading", level=1)).to_contain_text("使えません")


def test_nine_people_of_an_import_are_eight_cards_on_one_sheet_and_one_on_the_next(demo, new_browser):
    boss = signed_in(new_browser(), demo, ADMIN)
    boss.goto(f"{demo.url}/-/auth/staff/bulk")
    # Names and addresses of 60 characters, as some people have them.
    people = (f"{('ヴァルデンブルク紗英子' * 6)[:58]}{n:02},{'shain' * 11}{n:05}@dummy.invalid" for n in range(9))
    boss.locator("#emails").fill("\n".join(people))
    boss.locator("#staff-bulk button[type=submit]").click()
    boss.locator("#staff-preview [name=confirm]").click()
    expect(boss.locator(".slip")).to_have_count(9)
    assert printed(boss) == [A4, A4]
    boss.emulate_media(media="print")
    # No card is cut off, and no QR code lies outside its card.
    faults = boss.evaluate(
        """() => [...document.querySelectorAll(".slip")].filter((slip) => {
          const box = slip.getBoundingClientRect(), code = slip.querySelector("svg").getBoundingClientRect();
          return slip.scrollHeight > slip.clientHeight + 1 || code.bottom > box.bottom || code.width < 60;
        }).map((slip) => slip.querySelector(".to").textContent)"""
    )
    assert faults == []


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize(("path", "field", "people"), [("create", "#email", 1), ("bulk", "#emails", 2)])
def test_two_presses_on_a_slow_line_end_with_the_cards(demo, new_browser, path, field, people, script):
    """Without script the browser drops the answer to the first press."""
    boss = signed_in(new_browser(java_script_enabled=script), demo, ADMIN)
    boss.goto(f"{demo.url}/-/auth/staff/{path}")
    boss.locator(field).fill("\n".join(["a@dummy.invalid", "b@dummy.invalid"][:people]))
    if path == "bulk":
        boss.locator("#staff-bulk button[type=submit]").click()
    button = boss.locator("#staff-create button[type=submit], [name=confirm]")
    button.scroll_into_view_if_needed()
    place = button.bounding_box()
    arrived, go_on, app, sent = threading.Event(), threading.Event(), demo.app, []

    def slow(environ, start_response):
        answer = app(environ, start_response)
        if environ["REQUEST_METHOD"] == "POST":
            sent.append(environ["PATH_INFO"])
            (arrived if len(sent) == 1 else go_on).set()
            go_on.wait(60)
        return answer

    demo.app = slow
    boss.mouse.click(place["x"] + 20, place["y"] + 20)
    assert arrived.wait(60)
    boss.mouse.click(place["x"] + 20, place["y"] + 20)
    if script:
        go_on.set()
    expect(boss.locator(".slip")).to_have_count(people)
    assert len(sent) == (1 if script else 2)
    demo.app = app
    password = boss.locator(".slip .big").first.inner_text()
    visitor = opened(new_browser(), demo)
    sign_in(visitor, "a@dummy.invalid", password)
    expect(visitor.locator("#account-password")).to_be_visible()
