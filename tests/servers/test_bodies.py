"""Bodies as clients send them, under a real server."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests.kit import PASSWORD

GOOD = f"email=tanaka%40example.com&password={PASSWORD}&remember=1".encode()


@pytest.fixture(params=["sync", "gthread", "gevent"])
def url(request, gunicorn):
    return gunicorn(workers=1, kind=request.param)


def send(url, path, body=None, chunked=False, **headers):
    """One request. Without a body none of Content-Length and Transfer-Encoding is sent, as httplib2 and curl do."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.putrequest("POST", f"/-/auth/{path}")
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    if chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    elif body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    try:
        if chunked:
            for start in range(0, len(body), 1000):
                piece = body[start : start + 1000]
                connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            connection.send(b"0\r\n\r\n")
        elif body is not None:
            connection.send(body)
    except (BrokenPipeError, ConnectionResetError):
        pass  # The server may answer before it has read all of it.
    with closing(connection):
        answer = connection.getresponse()
        answer.read()
    return answer


@pytest.mark.parametrize(
    "chunks", [b"ZZ\r\nabc", b"-1\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n", b"3;\x00=1\r\nabc\r\n0\r\n\r\n"]
)
def test_bd4_chunks_that_no_server_can_decode_are_a_bad_request(url, chunks):
    head = "POST /-/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    host, _, port = urlsplit(url).netloc.partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=20)) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)
        assert connection.recv(1000).split()[1] in {b"400", b"401"}


def test_ru14_bodies_without_a_length_are_read(url):
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert send(url, "login", GOOD, chunked=True, **form).status == 303
    answer = send(url, "login", GOOD, **form)
    cookie = answer.headers.get_all("Set-Cookie")[0].partition(";")[0]
    data = json.dumps({"email": "tanaka@example.com", "password": PASSWORD}).encode()
    assert send(url, "login", data, chunked=True, Content_Type="application/json").status == 200
    assert send(url, "logout", Cookie=cookie).status == 303
    assert send(url, "login").status == 401
    assert send(url, "login", b"a" * 70_000, chunked=True, **form).status == 413
    assert send(url, "login", b"a" * 70_000, **form).status == 413
    assert send(url, "login", b"", **form).status == 401


def sent_whole(url, path, size, **headers):
    """The status of a POST whose sender reads nothing before all of it is sent, as nginx does."""
    host, _, port = urlsplit(url).netloc.partition(":")
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {size}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with closing(socket.create_connection((host, int(port)), timeout=20)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        connection.sendall(b"x" * size)
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_ru14_a_file_that_is_sent_after_the_session_has_ended_is_answered_with_401_and_not_with_a_reset(url, accept):
    assert [sent_whole(url, "/upload", size, Accept=accept) for size in (100_000, 8_000_000)] == [401, 401]
