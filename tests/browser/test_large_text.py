"""A browser whose font is set to 32 px, on a phone: every page keeps its text and its fields (WCAG 2.2, 1.4.4)."""

from __future__ import annotations

import json

import pytest

from tests.browser.conftest import ARGUMENTS
from tests.browser.walks import at_the_account, at_the_door, at_the_first_time, at_the_staff, at_two_steps

# What does not fit: a page wider than the screen, a field for a few characters, a text of one character a line.
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
