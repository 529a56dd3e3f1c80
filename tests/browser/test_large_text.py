"""A browser whose font is set to 32 px, on a phone: every page keeps its text and its fields (WCAG 2.2, 1.4.4)."""

from __future__ import annotations

import json

import pytest

from tests.browser.conftest import ARGUMENTS
from tests.browser.walks import at_the_account, at_the_door, at_the_first_time, at_the_staff, at_two_steps

# What does not fit: a page wider than the screen, a field for a few characters, a text of one character a line, the tab
# of the open page beyond the edge, a heading or button that breaks inside "two-step", a short word that breaks.
FAULTS = """() => {
  const em = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const found = em === 32 ? [] : [`the font has ${em} px`];
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) found.push(`scrolls sideways by ${wide}`);
  for (const field of document.querySelectorAll("input:not(.unseen), textarea, select")) {
    const width = field.getBoundingClientRect().width;
    if (width && !["checkbox", "radio", "hidden", "file"].includes(field.type) && width < 4 * em)
      found.push(`${field.id} is ${width} wide`);
  }
  for (const one of document.querySelectorAll("main :is(p, dd, dt, li, a, button, label, td)")) {
    const box = one.getBoundingClientRect();
    const text = one.innerText?.trim() ?? "";
    if (box.width && text.length > 8 && box.height > 3 * em && box.width < 3 * em && !one.closest(".unseen, thead"))
      found.push(`${one.tagName} “${text.slice(0, 12)}” is ${Math.round(box.width)} wide`);
  }
  for (const tab of document.querySelectorAll("nav.site [aria-current]")) {
    const box = tab.getBoundingClientRect();
    if (box.left < 0 || box.right > innerWidth) found.push(`the tab “${tab.innerText}” ends at ${box.right}`);
  }
  const top = (node, start) => {
    const range = document.createRange();
    range.setStart(node, start);
    range.setEnd(node, start + 1);
    return range.getBoundingClientRect().top;
  };
  for (const one of document.querySelectorAll("main :is(h1, .card > h2, button, a.button, a.link)")) {
    const node = one.firstChild;
    for (const { index } of (node?.nodeType === 3 ? node.data : "").matchAll(/[-\\u2011](?=\\w)/g))
      if (top(node, index) !== top(node, index + 1)) found.push(`“${node.data.trim()}” breaks at a hyphen`);
  }
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (!node.parentElement.checkVisibility() || node.parentElement.closest("code, samp, .unseen")) continue;
    for (const { 0: word, index } of node.data.matchAll(/(?<![\\w.@/-])[a-z]{2,14}(?![\\w.@/-])/gi))
      if (top(node, index) !== top(node, index + word.length - 1)) found.push(`“${word}” breaks`);
  }
  return found;
}"""


@pytest.mark.parametrize("language", ["ja-JP", "en-GB"])
@pytest.mark.parametrize("walk", [at_the_door, at_the_first_time, at_the_account, at_two_steps, at_the_staff])
def test_a_font_of_32_px_fits_a_phone_on_every_page(demo, playwright, chromium, tmp_path, walk, language):
    settings = tmp_path / "profile" / "Default" / "Preferences"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"webkit": {"webprefs": {"default_font_size": 32}}}))
    context = playwright.chromium.launch_persistent_context(
        tmp_path / "profile",
        executable_path=chromium,
        args=ARGUMENTS,
        locale=language,
        viewport={"width": 360, "height": 740},
    )
    context.set_default_timeout(10_000)
    page, faults, seen = context.new_page(), [], 0
    for state in walk(demo, page):
        if "/-/auth/" not in page.url:
            continue
        page.wait_for_load_state()
        seen += 1
        faults += [(state, fault) for fault in page.evaluate(FAULTS)]
    context.close()
    assert faults == []
    assert seen > 8
