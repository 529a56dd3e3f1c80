"""Where servers build the middleware: sub-interpreters, threads other than the main one."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

BUILD = """
    import os, time
    from werkzeug.test import Client
    from nipo_auth_mw import AuthMiddleware
    from nipo_auth_mw.testing import in_memory

    class Slow:
        def send(self, message):
            time.sleep(0.2)
            # One write: the lines of two threads on one pipe must not mix.
            os.write(1, f"sent to {message.to}\\n".encode())

    auth = AuthMiddleware(lambda environ, start_response: [], **{**in_memory(), "mailer": Slow()})
    auth.accounts.create(email="tanaka@example.com", password=None)
    assert Client(auth).post("/-/auth/forgot", data={"email": "tanaka@example.com"}).status_code == 200
    os.write(1, b"built\\n")
"""

SUB_INTERPRETER = """
    try:
        import _interpreters as interpreters
        number = interpreters.create("legacy")
    except ImportError:
        import _xxsubinterpreters as interpreters
        number = interpreters.create(isolated=False)
    # As the end of the interpreter does it: an interpreter that ends with a thread aborts the process.
    failed = interpreters.run_string(number, build + "import atexit; atexit._run_exitfuncs()")
    assert failed is None, failed
    interpreters.destroy(number)
"""

THREAD = """
    import threading
    thread = threading.Thread(target=exec, args=(build, {}))
    thread.start()
    thread.join()
"""


@pytest.mark.parametrize("where", [SUB_INTERPRETER, THREAD], ids=["sub-interpreter", "thread"])
def test_ru17_construction_works_and_mails_are_sent_at_the_end(where):
    script = f"build = {textwrap.dedent(BUILD)!r}\n{textwrap.dedent(where)}"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "built\nsent to tanaka@example.com\n"), done.stderr
