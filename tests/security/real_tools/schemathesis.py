"""schemathesis: what the OpenAPI document promises is asked of the demo, as a visitor and as an administrator.

Checked are answers of 500, statuses, media types and shapes that the document does not have, and methods that it does
not list. A form takes texts of any kind, so its refusals are no finding.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from tests.security.real_tools.common import ADMIN, Verdict, _Quiet, demo, run
from tests.security.real_tools.own_venv import program

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
OPTIONS = ["--max-examples", "5", "--phases", "coverage,fuzzing", "-c", f"{CHECKS},unsupported_method", "--no-color"]
# These would end the session that the others need.
ENDS_IT = r"logout|sessions/end|account/password|staff/\{id\}/(active|password|email|role|delete)"
_SECONDS = 180.0


def check(work: Path) -> Iterator[Verdict]:
    schemathesis = program("schemathesis")
    work.mkdir(parents=True)
    holes = _Holes()
    try:
        found = _scan(schemathesis, work, holes.url)
    finally:
        holes.stop()
    missed = [kind for kind in ("Server error", "violates schema") if kind not in found]
    yield Verdict(not missed, f"control: {f'missed {missed}' if missed else 'a 500 and a wrong shape are found'}")
    with demo(work / "visited", lock=False) as site:
        yield _verdict("visitor", _scan(schemathesis, work, f"{site.url}/-/auth/openapi.json"))
    with demo(work / "administered", lock=False) as site:
        cookies = site.sign_in(ADMIN)
        more = ["-H", f"Cookie: {cookies}", "--exclude-path-regex", ENDS_IT]
        verdict = _verdict("administrator", _scan(schemathesis, work, f"{site.url}/-/auth/openapi.json", *more))
        yield verdict if site.knows(cookies) else Verdict(False, "as administrator: its session was lost on the way")


def _scan(schemathesis: str, work: Path, url: str, *more: str) -> str:
    """What schemathesis prints. It keeps a folder of its own where it runs."""
    return run([schemathesis, "run", url, *OPTIONS, *more], _SECONDS, cwd=work)


def _verdict(who: str, output: str) -> Verdict:
    found = re.search(r"(\d+) generated, (\d+) passed\s", output)
    good = found is not None and found[1] == found[2] and int(found[1]) > 100
    if not good:
        print(output[-6000:])
    return Verdict(good, f"as {who}: {found[0].strip() if found else 'no result'}")


class _Holes:
    """An API that fails on one path, and says on another what its document does not have."""

    def __init__(self) -> None:
        self._server = make_server("127.0.0.1", 0, self._answer, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.port}/openapi.json"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        shape = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
        told = {"responses": {"200": {"description": "", "content": {"application/json": {"schema": shape}}}}}
        document = {"openapi": "3.1.0", "info": {"title": "", "version": "1"}}
        document |= {"paths": {"/fails": {"get": told}, "/shape": {"get": told}}}
        answers = {"/openapi.json": (200, document), "/shape": (200, {"name": 1})}
        status, data = answers.get(path, (500, {}))
        return Response(json.dumps(data), status, content_type="application/json")(environ, start_response)
