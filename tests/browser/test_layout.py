"""What stands under what, and on one line."""

from __future__ import annotations

import pytest

from tests.browser.test_door import sign_in
from tests.browser.test_stories import signed_in
from tests.browser.walks import ADMIN, NEW

SIZES = [(1200, 800), (320, 640)]


def staff(new_browser, demo, width, height):
    return signed_in(new_browser("en-GB", viewport={"width": width, "height": height}), demo, ADMIN)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_switches_of_the_staff_list_stand_under_each_other(demo, new_browser, width, height):
    """The words beside them, "Active" and "Disabled", are not of one length."""
    page = staff(new_browser, demo, width, height)
    page.goto(f"{demo.url}/-/auth/staff")
    lefts = page.locator("tr .knob").evaluate_all("knobs => knobs.map(knob => knob.getBoundingClientRect().left)")
    words = page.locator("tr .switch").all_inner_texts()
    assert {word.split()[0] for word in words} == {"Active", "Disabled"}
    assert len(set(lefts)) == 1


def test_the_mark_of_the_order_stands_apart_from_the_name_of_its_column(demo, new_browser):
    page = staff(new_browser, demo, 1200, 800)
    page.goto(f"{demo.url}/-/auth/staff")
    gap = page.locator("th[aria-sort] a").evaluate(
        """link => {
          const word = document.createRange();
          word.selectNodeContents(link.firstChild);
          return link.querySelector("span").getBoundingClientRect().left - word.getBoundingClientRect().right;
        }"""
    )
    assert gap >= 3


def test_a_row_with_a_link_is_as_high_as_a_row_without(demo, new_browser):
    page = staff(new_browser, demo, 1200, 800)
    page.goto(f"{demo.url}/-/auth/account")
    rows = page.locator(".facts > div")
    assert rows.locator(".change").count() > 1
    heights = rows.evaluate_all("rows => rows.slice(0, -1).map(row => row.getBoundingClientRect().height)")
    assert max(heights) - min(heights) < 1


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_filter_that_is_chosen_is_in_view(demo, new_browser, width, height):
    page = staff(new_browser, demo, width, height)
    page.goto(f"{demo.url}/-/auth/staff?show=locked")
    box = page.locator(".chips [aria-current]").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_a_password_to_hand_over_is_one_line_of_a_phone(demo, new_browser):
    """A hyphen at the end of a line would be read as a break of the word."""
    page = staff(new_browser, demo, 320, 640)
    page.goto(f"{demo.url}/-/auth/staff/create")
    page.locator("#email").fill("yamada@dummy.invalid")
    page.locator("#staff-create button[type=submit]").click()
    assert page.locator(".slip .big").evaluate("password => password.getClientRects().length") == 1


def test_a_label_is_not_broken_beside_free_space(demo, new_browser):
    page = new_browser(viewport={"width": 320, "height": 640}).new_page()
    page.goto(demo.url)
    sign_in(page)
    page.locator("#who").wait_for()
    page.goto(f"{demo.url}/-/auth/account")
    widths = page.locator(".facts > div").evaluate_all(
        "rows => rows.map(row => [row, row.querySelector('dt')].map(one => one.getBoundingClientRect().width))"
    )
    assert all(row == label for row, label in widths)


@pytest.mark.parametrize("width", [1200, 800])
def test_a_long_address_leaves_the_words_beside_it_on_one_line(demo, new_browser, width):
    address = "chosokabe.wilhelmina.long-address@a-very-long-department-name.example.com"
    demo.auth.accounts.create(email=address, name="長宗我部 ヴィルヘルミーナ")
    page = signed_in(new_browser("ja-JP", viewport={"width": width, "height": 800}), demo, ADMIN)
    page.goto(f"{demo.url}/-/auth/staff")
    row = page.locator("tbody tr").filter(has_text=address)
    lines = row.locator("td:nth-child(3), td:nth-child(4) > span, td:nth-child(5) > span, .switch > span:nth-child(2)")
    counts = lines.evaluate_all(
        """cells => cells.map(cell => {
          const words = document.createRange();
          words.selectNodeContents(cell);
          return new Set([...words.getClientRects()].map(rect => rect.top)).size;
        })"""
    )
    assert counts == [1, 1, 1, 1]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("language", ["ja-JP", "en-GB"])
def test_the_label_of_a_detail_in_the_history_is_one_line(demo, new_browser, language):
    demo.auth.accounts.set_role(demo.auth.accounts.find("genba@example.com").id, "admin")
    page = signed_in(new_browser(language, viewport={"width": 320, "height": 640}), demo, ADMIN)
    page.goto(f"{demo.url}/-/auth/audit?event=role_changed")
    labels = page.locator("dl.more dt")
    assert labels.count()
    lines = labels.evaluate_all(
        "labels => labels.map(one => Math.round(one.offsetHeight / parseFloat(getComputedStyle(one).lineHeight)))"
    )
    assert set(lines) == {1}


LONG = (
    "ヴィルヘルミーナ・アレクサンドラ・髙﨑＝フォン・ヴァルデンブルク"
    " 紗英子・エリザベート・マルガレーテ・クリスティーネ・アンナ"
)
BROKEN_WORDS = """cells => cells.flatMap(cell => {
  const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode(), line = (at) => {
    const range = document.createRange();
    range.setStart(text, at);
    range.setEnd(text, at + 1);
    return range.getBoundingClientRect().top;
  };
  return [...text.data.trimEnd().matchAll(/\\w(?=\\w)/g)].filter(({ index }) => line(index) !== line(index + 1))
    .map(() => text.data);
})"""


def test_a_long_name_leaves_the_words_of_the_history_and_of_a_preview_whole(demo, new_browser):
    demo.auth.accounts.create(email="helena@example.com", name=LONG, role="admin", password=NEW)
    page = signed_in(new_browser("en-GB", viewport={"width": 1280, "height": 800}), demo, ("helena@example.com", NEW))
    other = demo.auth.accounts.create(
        email="other@example.com", name="Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh"
    )
    page.goto(f"{demo.url}/-/auth/staff/{other.id}/password")
    page.locator("#staff-password button[type=submit]").click()
    page.goto(f"{demo.url}/-/auth/audit")
    assert page.locator("td.event").evaluate_all(BROKEN_WORDS) == []
    page.goto(f"{demo.url}/-/auth/staff/bulk")
    page.locator("#emails").fill(f"Name,Reading,Email,Role\n{LONG},,abcdefgh@example.org,Staff")
    page.locator("#staff-bulk button[type=submit]").click()
    assert page.locator("#staff-preview td:last-child").evaluate_all(BROKEN_WORDS) == []


def test_a_long_name_leaves_the_menu_beside_the_brand_on_a_phone(demo, new_browser):
    demo.auth.accounts.create(email="helena@example.com", name=LONG, password=NEW)
    page = signed_in(new_browser(viewport={"width": 320, "height": 640}), demo, ("helena@example.com", NEW))
    page.goto(f"{demo.url}/-/auth/account")
    brand, menu = (page.locator(f"header {one}").bounding_box() for one in (".brand", ".menu summary"))
    assert menu["y"] < brand["y"] + brand["height"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
