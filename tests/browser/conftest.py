"""The demo on a real port, and Debian's Chromium."""

from __future__ import annotations

import shutil
import threading

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from examples.daily_report import protected
from tests._services import absent, needed

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


class Quiet(WSGIRequestHandler):
    def log(self, type, message, *args):
        pass


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which("chromium")
    if path is None:
        absent("chromium is not installed (Debian: apt-get install chromium)")
    return path


@pytest.fixture(scope="session")
def playwright(chromium):
    with needed("playwright.sync_api").sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def launched(playwright, chromium):
    browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
    yield browser
    browser.close()


class Demo:
    """The running demo: `url`, and `auth` to do what an administrator or another device does."""

    def __init__(self, folder, port=0):
        self.fixed = {}
        self.server = make_server("localhost", port, self.answer, True, False, Quiet)
        self.port = self.server.port
        self.url = f"http://localhost:{self.port}"
        self.app = protected(folder, self.url)
        self.auth = self.app.extensions["nipo_auth_mw"]
        self.mailer = self.app.extensions["demo_mailer"]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def answer(self, environ, start_response):
        if html := self.fixed.get(environ["PATH_INFO"]):
            start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
            return [html.encode()]
        return self.app(environ, start_response)

    def serve_at(self, path, html):
        """For tools that can only ask with GET."""
        self.fixed[path] = html

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.auth._services.session_store.close()


@pytest.fixture
def demo(tmp_path, chromium):
    demo = Demo(tmp_path / "demo")
    yield demo
    demo.stop()


@pytest.fixture
def new_browser(launched):
    """Makes browsers of their own: another person, another device."""
    contexts = []

    def make(language="ja-JP", **options):
        context = launched.new_context(locale=language, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
