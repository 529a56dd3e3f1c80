"""A long address is kept over sign-in under a real server, whose request line is limited."""

from __future__ import annotations

import html
import http.client
import re
from contextlib import closing
from urllib.parse import urlsplit

import pytest

NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def get(url, path):
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)) as connection:
        connection.request("GET", path, headers=NAVIGATION)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", ""), answer.read().decode()


@pytest.mark.parametrize("query", ["f=" + "a" * 3900, "f=" + "a" * 4000, "f=" + "%E6" * 1300, "f=" + "&a=" * 1200])
def test_ru13_every_address_that_gunicorn_takes_is_kept_over_sign_in(gunicorn, query):
    url = gunicorn(workers=1)
    assert get(url, "/report?f=" + "a" * 4100)[0] in {400, 414}, "it takes 4,094 bytes"
    status, location, page = get(url, f"/report?{query}")
    if status == 303:
        status, _, page = get(url, location)
    assert status in {200, 401}
    assert html.unescape(re.search(r'name="next" value="([^"]*)"', page)[1]) == f"/report?{query}"
