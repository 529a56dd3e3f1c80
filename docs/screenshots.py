"""Takes the README's pictures of the demo: `python docs/screenshots.py [folder]`.

If a folder is given, it takes every page in both languages, on a phone and a desktop, light and dark.
Needs `pip install -e .[test] --group docs` and Chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser.conftest import Demo
from tests.browser.walks import at_the_account, at_the_door, at_the_first_time, at_the_staff, at_two_steps

README = Path(__file__).parent / "img"
LOOKS = {
    "phone": {"locale": "ja-JP", "color_scheme": "light", "viewport": {"width": 360, "height": 740}},
    "desktop": {"locale": "en-GB", "color_scheme": "dark", "viewport": {"width": 1200, "height": 800}},
    "phone-dark": {"locale": "ja-JP", "color_scheme": "dark", "viewport": {"width": 320, "height": 640}},
    "desktop-light": {"locale": "ja-JP", "color_scheme": "light", "viewport": {"width": 1200, "height": 800}},
}


def main(folder: Path | None) -> None:
    """Take the pictures, into the folder or for the README."""
    wanted = {
        *(("phone", state) for state in ("login", "sent", "second step", "staff, disabled")),
        ("desktop", "login"),
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for look, options in LOOKS.items():
            if folder is None and look not in {wanted_look for wanted_look, _ in wanted}:
                continue
            for walk in (at_the_door, at_the_first_time, at_the_account, at_two_steps, at_the_staff):
                with tempfile.TemporaryDirectory() as temporary:
                    demo = Demo(Path(temporary) / "demo")
                    page = browser.new_context(**options).new_page()
                    for state in walk(demo, page):
                        if folder is not None or (look, state) in wanted:
                            target = folder or README
                            target.mkdir(parents=True, exist_ok=True)
                            name = state.replace(", ", "-").replace(" ", "_")
                            page.wait_for_load_state()
                            page.screenshot(path=target / f"{look}-{name}.png", full_page=folder is not None)
                    demo.stop()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
