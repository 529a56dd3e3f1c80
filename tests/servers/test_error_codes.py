"""What the store makes of the error codes of PostgreSQL's and MariaDB's drivers, with no server."""

from __future__ import annotations

import socket
import struct

import pytest
import sqlalchemy as sa

from nipo_auth_mw.errors import ConfigError, StoreUnavailable
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.stores._outages import _CONTENTION, _HINTS, is_contention
from tests._services import needed

SECRET = "tanaka@example.com"
MET_OTHERS = {"40001", "40P01", "55P03", "57014", "1020", "1205", "1213", "1317", "1969"}
# Names of PyMySQL's constants. A cluster of MariaDB (Galera) answers UNKNOWN_COM_ERROR, "WSREP has not yet prepared
# node for application use", and LOCK_DEADLOCK at COMMIT; the others have SQLSTATE 08S01, 40001 or 70100, or name a
# server without room or the right to write.
MARIADB = [
    "UNKNOWN_COM_ERROR",
    "LOCK_WAIT_TIMEOUT",
    "LOCK_DEADLOCK",
    "CHECKREAD",
    "QUERY_INTERRUPTED",
    "SERVER_SHUTDOWN",
    "ABORTING_CONNECTION",
    "NET_PACKETS_OUT_OF_ORDER",
    "NET_READ_ERROR",
    "NET_READ_INTERRUPTED",
    "NET_ERROR_ON_WRITE",
    "NET_WRITE_INTERRUPTED",
    "NEW_ABORTING_CONNECTION",
    "CON_COUNT_ERROR",
    "TOO_MANY_USER_CONNECTIONS",
    "USER_LIMIT_REACHED",
    "OPTION_PREVENTS_STATEMENT",
]
NEWER = [1792, 1836, 1927, 1969]
"""Without a name there: a transaction or a server that only reads, a connection or a statement that was ended."""
PG_CLASSES = ("08", "25006", "25P03", "40001", "40P01", "53", "55P03", "57014", "57P0")


def postgresql():
    """(code, exception) of each SQLSTATE that psycopg knows in these classes."""
    errors = needed("psycopg").errors
    known = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Error)]
    states = {kind.sqlstate: kind for kind in known if isinstance(kind.sqlstate, str)}
    return [(code, kind(SECRET)) for code, kind in states.items() if code.startswith(PG_CLASSES)]


def mariadb():
    """(code, exception), as PyMySQL raises it for the server's packet."""
    needed("pymysql")
    from pymysql import err
    from pymysql.constants import ER

    made = []
    for number in [*(getattr(ER, name) for name in MARIADB), *NEWER]:
        try:
            err.raise_mysql_exception(b"\xff" + struct.pack("<H", number) + b"#08S01" + SECRET.encode())
        except err.Error as problem:
            made.append((str(number), problem))
    return made


@pytest.mark.parametrize(
    ("url", "made"), [("postgresql://db.example.com/a", postgresql), ("mariadb://db.example.com/a", mariadb)]
)
def test_ru1_each_code_of_an_outage_or_of_contention_ends_the_connection_and_says_why(url, made):
    found = made()
    store = SQLStore(url)
    outages = store._db._outages
    assert len(found) >= 15
    for code, problem in found:
        wrapped = sa.exc.DBAPIError.instance("SELECT 1", (), problem, Exception)
        for raised in (problem, wrapped):
            assert store._db._is_outage(raised), code
            assert not isinstance(raised, outages.misfits), code
            assert is_contention(raised) == (code in MET_OTHERS), code
            text = str(outages.translated(raised))
            assert code in text
            assert SECRET not in text


def test_ru4_a_log_line_says_what_each_code_of_contention_means():
    assert {code for code in _CONTENTION if code not in _HINTS and code.rpartition("_")[0] not in _HINTS} == set()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('ユーザー"postgres"のパスワード認証に失敗しました', "the password is wrong"),
        ('データベース"reports"は存在しません', "this database or its user does not exist"),
        (
            'pg_hba.conf にホスト"::1"用のエントリがありません',
            "does not accept this user",
        ),
        ('pg_hba.conf rejects connection for host "::1", user "a", database "b"', "does not accept this user"),
        ('ロール"a"はログインが許可されません', "does not accept this user"),
        ('role "a" is not permitted to log in', "does not accept this user"),
        ('permission denied for database "b"', "the user lacks a privilege"),
        ('データベース"b"へのアクセスが拒否されました', "the user lacks a privilege"),
        ("現在クライアント数が多すぎます", "the server has no connection left"),
        ("残りの接続スロットはスーパーユーザー用に予約されています", "the server has no connection left"),
        ("データベースシステムは起動処理中です", "the server is starting or shutting down"),
        ("データベースシステムはシャットダウンしています", "the server is starting or shutting down"),
        ('database "b" is not currently accepting connections', "refuses the connection; its log says why"),
    ],
)
def test_ru4_a_postgresql_that_refuses_a_connection_is_told_with_its_reason_in_japanese_too(text, reason):
    """The server answers in the language of `lc_messages`, and libpq passes no code on. Texts of PostgreSQL 15."""
    driver = needed("psycopg")
    failed = f'connection failed: connection to server at "127.0.0.1", port 5432 failed: FATAL:  {text}'
    told = str(SQLStore("postgresql://db.example.com/a")._db._outages.translated(driver.OperationalError(failed)))
    assert reason in told
    assert text not in told


def test_ru4_mysql_is_told_from_a_server_that_does_not_answer():
    needed("pymysql")
    store = SQLStore("mysql://db.example.com/a")
    with pytest.raises(sa.exc.InvalidRequestError) as refused:
        store._db.engine.dialect._set_mariadb(False, (8, 0, 36))
    assert "this is MySQL, and the store needs MariaDB" in str(store._db._outages.translated(refused.value))


@pytest.mark.parametrize(
    ("url", "option"),
    [
        ("postgresql://db.example.com/a?sslmode=require&pool_size=5", "pool_size"),
        ("postgresql://db.example.com/a?prepare_threshold=0", "prepare_threshold"),
        ("postgresql://db.example.com/a?schema=b", "schema"),
        ("mariadb://db.example.com/a?sslmode=require", "sslmode"),
        ("mariadb://db.example.com/a?ssl_ca=/a.pem&pool_recycle=60", "pool_recycle"),
        ("mariadb://db.example.com/a?connect_timeout=abc", ""),
    ],
)
def test_ru4_an_option_that_the_driver_does_not_know_is_found_at_start(url, option):
    needed("psycopg")
    needed("pymysql")
    with pytest.raises(ConfigError, match=f"unknown options: {option}\\." if option else "cannot be read"):
        SQLStore(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://a:b@/c?host=one.example.com&host=two.example.com:5433&target_session_attrs=read-write",
        "postgresql://a@/c?host=/run/postgresql&application_name=reports&options=-csearch_path%3Dauth",
        "postgresql://one.example.com/c?sslmode=verify-full&sslrootcert=system&keepalives_idle=30",
        "mariadb://one.example.com/c?ssl_ca=/a.pem&ssl_verify_cert=true&charset=utf8&read_timeout=2",
        "mariadb://a@/c?unix_socket=/run/mysqld/mysqld.sock",
    ],
)
def test_options_that_the_driver_knows_reach_it(url):
    needed("psycopg")
    needed("pymysql")
    assert SQLStore(url)


def test_ru4_a_connection_that_cannot_be_made_is_an_outage_with_its_reason_whatever_is_raised():
    needed("psycopg")
    needed("pymysql")

    def token(problem=LookupError):
        raise problem(SECRET)

    def unknown_host():
        raise socket.gaierror(socket.EAI_NONAME, SECRET)

    refused = {
        SQLStore(
            sa.create_engine("postgresql+psycopg://db.example.com/b", creator=unknown_host)
        ): "host name is unknown",
        SQLStore(
            sa.create_engine("postgresql+psycopg://db.example.com/c", creator=lambda: token(TimeoutError))
        ): r"\(TimeoutError: a file",
        SQLStore(sa.create_engine("postgresql+psycopg://db.example.com/a", creator=token)): "LookupError: the function",
        SQLStore("mariadb://db.example.com/a?ssl_ca=/no/such.pem"): "FileNotFoundError: No such file",
    }
    for store, reason in refused.items():
        with pytest.raises(StoreUnavailable, match=reason) as told:
            store.check()
        assert SECRET not in str(told.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", " "])
def test_a_url_out_of_a_file_may_end_with_a_line_break(tmp_path, end):
    SQLStore(f"sqlite:///{tmp_path}/auth.db{end}").create_schema()
    assert (tmp_path / "auth.db").exists()
