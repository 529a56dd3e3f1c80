"""The example of docs/guides/theming.md, as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from nipo_auth_mw.testing import MemoryStore
from tests.kit import browser, echo, logged_here, middleware, person, sign_in

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "theming.md").read_text("utf-8")


def test_the_guides_example_works_as_it_stands(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    files = re.findall(r"```\w+\n(?:# |/\* |<!-- )(templates/[\w./]+)[^\n]*\n(.*?)```", GUIDE, re.DOTALL)
    assert len(files) == 3
    for name, text in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    given = {"AuthMiddleware": middleware, "AuthConfig": dict, "app": echo, "store": MemoryStore()}
    # The middleware of the tests has a secret and an address of its own, and takes settings as they are.
    code = code.replace("    ...,\n", "").replace("app, config, store=store", "app, store=store, **config")
    exec(code, given)
    person(given["auth"], "leader@example.com", role="leader")
    person(given["auth"], "boss@example.com", role="admin")
    visitor, boss = browser(given["auth"]), browser(given["auth"])
    page = visitor.get("/-/auth/login")
    for text in ("社員ログイン", "総務部 内線123", "日報", "株式会社サンプル", "/static/logo.svg"):
        assert text in page.text, text
    theme = visitor.get(next(link["href"] for link in page.html.find_all("link") if "theme" in link["href"])).text
    assert theme.index("#12506f") < theme.index("#804000")
    sign_in(boss, "boss@example.com")
    assert "リーダー" in boss.get("/-/auth/staff").text
    assert logged_here(caplog) == []
