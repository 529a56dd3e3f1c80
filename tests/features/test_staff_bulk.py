"""Many accounts at once: what is pasted or sent as a file is looked over first, then added."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webtest import TestApp, Upload

from nipo_auth_mw._audit.csv_cells import harmless, plain
from nipo_auth_mw._flows import staff, staff_xlsx
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._flows.staff_bulk import Line, create, create_each, create_many
from nipo_auth_mw._flows.staff_rejections import PAGE_REASONS
from nipo_auth_mw._flows.staff_rows import AccountRow
from nipo_auth_mw._web.body import MOST_UPLOAD
from nipo_auth_mw.errors import EmailTaken, StoreUnavailable
from nipo_auth_mw.models import Client
from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.testing import MemoryMailer
from tests.kit import browser, events, middleware, person, sign_in

BULK = "/-/auth/staff/bulk"
TABLE = [
    ["社員番号", "氏名", "フリガナ", "メール", "役割", "備考"],
    ["17", "髙﨑 花子", "たかさき はなこ", "sato@example.net", "管理者", "夜番, 週末"],
    ["18", "鈴木 一郎", "すずき いちろう", "suzuki@example.net", "", ""],
]


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer, roles=["admin", "manager", "staff"])


def xlsx(table: Sequence[Sequence[Any]]) -> bytes:
    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in table:
        book.active.append(list(row))
    book.save(out)
    return out.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
PARTS = {
    "[Content_Types].xml": """<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/sharedStrings.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>""",
    "xl/workbook.xml": f"""<workbook {MAIN} xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">
<sheets><sheet name="一覧" sheetId="1" r:id="rId1"/></sheets></workbook>""",
    "xl/_rels/workbook.xml.rels": """<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="rId1" Target="worksheets/sheet1.xml"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"/></Relationships>""",
}


def packed(parts: Mapping[str, str]) -> bytes:
    """A workbook of these parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()


def excel(before: str = "", number: str = "2", size: str = "A1:B2") -> bytes:
    """A workbook as Excel writes it in Japan: texts in a part of their own, with their readings."""
    parts = PARTS | {
        "xl/sharedStrings.xml": f"""{before}<sst {MAIN}><si><t>氏名</t></si><si><t>メール</t></si>
<si><t>髙﨑</t><rPh sb="0" eb="2"><t>タカサキ</t></rPh></si><si><t>sato@example.net</t></si></sst>""",
        SHEET: f"""<worksheet {MAIN}><dimension ref="{size}"/><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c>
<c r="B1" t="s"><v>1</v></c></row><row r="2"><c r="A2" t="s"><v>{number}</v></c><c r="B2" t="s"><v>3</v></c></row>
</sheetData></worksheet>""",
    }
    return packed(parts)


def lines(separator: str) -> str:
    quoted = [[f'"{cell}"' if separator in cell else cell for cell in row] for row in TABLE]
    return "\r\n".join(separator.join(row) for row in quoted) + "\r\n"


def sent(boss: TestApp, content: bytes, **fields: str) -> Any:
    """The answer to the form with this file."""
    form = boss.get(BULK).forms["staff-bulk"]
    form["upload"] = Upload("一覧.csv", content)
    for name, value in fields.items():
        form[name] = value
    return form.submit(expect_errors=True)


def multipart(device: TestApp, body: bytes, kind: str = "multipart/form-data; boundary=x", **more: Any) -> Any:
    """The answer to this body, as JSON."""
    given = {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": kind, "wsgi.input": io.BytesIO(body)}
    environ = {**given, **more.get("environ", {})}
    headers = {"Accept": "application/json"}
    return device.request(BULK, method="POST", environ=environ, expect_errors=True, headers=headers)


def columns(auth: Any, email: str) -> tuple[str, ...]:
    user = auth.accounts.find(email)
    state = auth._services.account_states.account_state(user.id)
    return user.name, state.attributes.get("reading", ""), user.role, state.memo


# A list that is pasted


def test_iv4_a_list_is_looked_over_then_added_line_by_line_with_a_password_each(auth: Any, boss: TestApp) -> None:
    person(auth)
    form = boss.get("/-/auth/staff").click("Add in bulk").forms["staff-bulk"]
    form["emails"] = "a@example.net\r\n\r\n  b@example.net \ntanaka@example.com\nno address\na@example.net\n"
    page = form.submit(status=200)
    assert "Can be added: 2. To correct: 3. Nothing has been added yet." in page.text
    assert len(auth.accounts.search()) == 2
    preview = page.forms["staff-preview"]
    assert preview["corrected"].value.split("\n") == ["tanaka@example.com", "no address", "a@example.net"]
    assert page.text.index("This email is in the list twice") < page.text.index("People who can be added")
    preview["corrected"] = "tanaka@example.com\nc@example.net"
    page = preview.submit(status=200)
    assert "Can be added: 3. To correct: 1." in page.text
    report = page.forms["staff-preview"].submit("confirm", status=200)
    assert "Added: 3. Not added: 1." in report.text
    slips = report.html.select(".slips.many .slip")
    passwords = [slip.select_one(".big").text for slip in slips]
    assert len(set(passwords)) == 3
    assert "account/password" in sign_in(browser(auth), "b@example.net", passwords[1]).location
    assert report.forms["staff-bulk"]["emails"].value == "tanaka@example.com"
    assert report.text.index("already") < report.text.index(passwords[0]), "what is to be corrected comes first"
    preview = page.forms["staff-preview"]
    again = preview.submit("confirm", status=200)
    assert "Added: 3. Not added: 1." in again.text
    assert [slip.select_one(".big").text for slip in again.html.select(".slip")] == passwords
    preview["form_id"] = "another"
    twice = preview.submit("confirm", status=200)
    assert "Added: 0. Not added: 4." in twice.text, "the form that is sent again adds nobody"
    assert not any(password in boss.get(BULK).text + twice.text for password in passwords)
    assert len(auth.accounts.search()) == 5


def test_rows_that_fail_between_the_two_looks_are_told(auth: Any, boss: TestApp) -> None:
    page = boss.post(BULK, {"emails": "a@example.net\nb@example.net"})
    auth.accounts.create(email="a@example.net")
    report = page.forms["staff-preview"].submit("confirm", status=200)
    assert "Added: 1. Not added: 1." in report.text
    assert report.forms["staff-bulk"]["emails"].value == "a@example.net"


@pytest.mark.parametrize(
    "pasted",
    [
        "名前\tふりがな\tメールアドレス\t権限\tメモ\n佐藤 花子\tさとう はなこ\tsato@example.net\t管理者\t夜番",
        "E-Mail,memo,name,role,furigana\nsato@example.net,夜番,佐藤 花子,admin,さとう はなこ",
        "sato@example.net\tさとう はなこ\t佐藤 花子\t管理者\t夜番",
        "佐藤 花子,夜番,ｓａｔｏ＠ｅｘａｍｐｌｅ．ｎｅｔ,さとう はなこ,ADMIN",
        '"佐藤\n花子","さとう はなこ",sato@example.net,管理者,夜番',
        "社員番号;氏 名;フリガナ;ID;メール※;役割;備考\n17;佐藤 花子;さとう はなこ;x;sato@example.net;管理者;夜番",
    ],
)
def test_the_columns_of_a_list_are_found_in_any_order(auth: Any, boss: TestApp, pasted: str) -> None:
    [line] = boss.post_json(BULK, {"emails": pasted}).json["lines"]
    assert (line["email"], line["code"]) == ("sato@example.net", "")
    assert columns(auth, "sato@example.net") == ("佐藤 花子", "さとう はなこ", "admin", "夜番")
    assert sign_in(browser(auth), "sato@example.net", line["password"]).status_int == 303


def test_a_line_to_correct_keeps_its_cells_under_headings(boss: TestApp) -> None:
    pasted = 'memo,email,name,社員番号\n"夜番, 週末",no address,佐藤,17\n昼,ok@example.net,鈴木,18\n'
    page = boss.post(BULK, {"emails": pasted})
    assert page.forms["staff-preview"]["corrected"].value == 'Name,Email,Memo\n佐藤,no address,"夜番, 週末"'
    assert "Ignored columns: 社員番号" in page.text


def test_a_program_may_look_first_too(auth: Any, boss: TestApp) -> None:
    lines = boss.post_json(BULK, {"emails": "a@example.net\nno address", "confirm": False}).json["lines"]
    told = [(line["id"], line["code"], line["password"]) for line in lines]
    assert told == [(None, "", None), (None, "email_rejected", None)]
    assert len(auth.accounts.search()) == 1


def test_a_list_of_invitations_is_mailed_or_printed(auth: Any, boss: TestApp, mailer: MemoryMailer) -> None:
    form = boss.get(BULK).forms["staff-bulk"]
    form["emails"], form["invite"] = "a@example.net\n鈴木\tb@nippo.invalid\n", True
    page = form.submit(status=200)
    assert mailer.outbox == []
    report = page.forms["staff-preview"].submit("confirm", status=200)
    assert [mail.to for mail in mailer.outbox] == ["a@example.net"]
    [link] = [one.text for one in report.html.select(".slip .link")]
    assert browser(auth).get(link.removeprefix("http://localhost")).status_int == 200


def test_a_disabled_account_of_a_list_gets_neither_password_nor_invitation(auth: Any, boss: TestApp) -> None:
    fields = {"emails": "メール,状態\na@example.net,無効\nb@example.net,有効", "confirm": "1"}
    report = boss.post(BULK, fields, status=200)
    assert "Added: 2. Not added: 0." in report.text
    assert len(report.html.select(".slip")) == 1
    assert "a@example.net" in report.html.select_one('[aria-labelledby="disabled"]').text
    assert auth.accounts.find("a@example.net").active is False


def test_short_ids_of_a_login_domain_are_addresses_in_a_list_too() -> None:
    auth = middleware(login_domain="nippo.local")
    person(auth, "kanri@example.com", role="admin")
    device = browser(auth)
    sign_in(device, "kanri@example.com")
    lines = device.post_json(BULK, {"emails": "名前,ID\n佐藤,sato01\n鈴木,SATO01"}).json["lines"]
    assert [(line["email"], line["code"]) for line in lines] == [("sato01@nippo.local", ""), ("SATO01", "email_taken")]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"emails": "\n".join(f"p{n}@example.net" for n in range(201))}, "too_many_lines"),
        ({"emails": " \n "}, "no_lines"),
        ({"role": "emperor"}, "unknown_role"),
        ({"emails": "名前,権限\n佐藤,staff"}, "file_rejected"),
        ({"emails": "メール,メール\na@example.net,b@example.net"}, "file_rejected"),
    ],
)
@pytest.mark.parametrize("confirm", ["", "1"])
def test_of_an_unfit_list_none_is_added(
    auth: Any, boss: TestApp, change: dict[str, str], code: str, confirm: str
) -> None:
    fields = {"emails": "a@example.net\nb@example.net", "role": "staff"} | change
    page = boss.post(BULK, fields | {"confirm": confirm}, status=422)
    assert page.forms["staff-bulk"]["emails"].value.split() == fields["emails"].split()
    assert page.html.select_one('[role="alert"]')
    assert boss.post_json(BULK, fields, status=422).json["code"] == code
    assert len(auth.accounts.search()) == 1


# A file


@pytest.mark.parametrize(
    "content",
    [
        lines(",").encode("utf-8"),
        lines(",").encode("utf-8-sig"),
        lines(",").encode("cp932"),
        lines("\t").encode("utf-16"),
        lines("\t").encode("utf-8"),
        lines(";").encode("utf-8"),
        xlsx(TABLE),
    ],
    ids=["utf-8", "bom", "cp932", "utf-16", "tsv", "semicolons", "xlsx"],
)
def test_iv4_a_file_is_looked_over_and_added_as_a_pasted_list_is(auth: Any, boss: TestApp, content: bytes) -> None:
    page = sent(boss, content)
    assert "Can be added: 2. To correct: 0." in page.text
    assert [cell.text for cell in page.html.select("tbody tr")[0].select("td")] == [
        *TABLE[1][1:4],
        "Administrator",
        TABLE[1][5],
    ]
    assert "Ignored columns: 社員番号" in page.text
    assert len(auth.accounts.search()) == 1, "nothing is stored before the confirmation"
    assert "Added: 2. Not added: 0." in page.forms["staff-preview"].submit("confirm").text
    assert columns(auth, "sato@example.net") == ("髙﨑 花子", "たかさき はなこ", "admin", "夜番, 週末")
    assert columns(auth, "suzuki@example.net")[2] == "staff"


@pytest.mark.parametrize("size", ["A1:B2", "A1"])
def test_a_workbook_of_excel_gives_its_texts_without_their_readings(boss: TestApp, size: str) -> None:
    page = sent(boss, excel(size=size))
    assert [cell.text for cell in page.html.select("tbody td")] == ["髙﨑", "sato@example.net"]


def test_what_is_typed_beside_a_file_counts_too_and_a_row_in_both_is_told(boss: TestApp) -> None:
    page = sent(boss, b"email\na@example.net\n", emails="b@example.net\nA@example.net")
    assert "Can be added: 2. To correct: 1." in page.text


def test_cells_of_a_sheet_are_read_as_a_spreadsheet_shows_them(auth: Any, boss: TestApp) -> None:
    page = sent(boss, xlsx([["email", "memo"], ["a@example.net", 3.0], [None, None], ["b@example.net", True]]))
    page.forms["staff-preview"].submit("confirm", status=200)
    assert [columns(auth, f"{who}@example.net")[3] for who in "ab"] == ["3", "True"]


def test_without_the_extra_a_sheet_is_refused_with_what_to_do(boss: TestApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staff_xlsx, "_LIBRARIES", ("no_such_library",))
    page = sent(boss, xlsx(TABLE))
    assert (page.status_int, "This site cannot read Excel files" in page.text) == (422, True)


# An export


@pytest.mark.parametrize("language", ["ja", "en"])
def test_an_export_can_be_imported_again(auth: Any, boss: TestApp, language: str) -> None:
    cells = "メール,氏名,ふりがな,権限,状態,お知らせメールの宛先,メモ\n"
    cells += 'a@example.net,"=佐藤, 花子",さとう,管理者,無効,home@example.net,"- 朝\n番"\n'
    boss.post(BULK, {"emails": cells, "confirm": "1"}, status=200)
    before = columns(auth, "a@example.net")
    boss.set_cookie("nipo_lang", language)
    answer = boss.get("/-/auth/staff").click(href="staff.csv")
    assert answer.body.startswith(b"\xef\xbb\xbf")
    assert "'=佐藤" in answer.text, "no cell begins a formula"
    assert "argon2" not in answer.text
    assert [event.actor for event in events(auth, "staff_exported")] == [auth.accounts.find("kanri@example.com").id]
    auth.accounts.delete(auth.accounts.find("a@example.net").id)
    boss.set_cookie("nipo_lang", "en")
    page = sent(boss, answer.body)
    assert "Can be added: 1. To correct: 1." in page.text
    page.forms["staff-preview"].submit("confirm", status=200)
    user = auth.accounts.find("a@example.net")
    assert (columns(auth, "a@example.net"), user.active, user.notify_email) == (before, False, "home@example.net")


def test_an_export_is_for_administrators(auth: Any) -> None:
    person(auth)
    device = browser(auth)
    sign_in(device)
    assert device.get("/-/auth/staff.csv", expect_errors=True).status_int == 403
    assert not events(auth, "staff_exported")


# What is no list


def bomb() -> bytes:
    """A workbook of 30 KB whose sheet becomes 20 MB."""
    return remade(SHEET, lambda text: text.replace("<sheetData>", "<sheetData>" + " " * 20_000_000))


def liar() -> bytes:
    """A workbook whose table of contents says less than its parts become."""
    content = bytearray(bomb())
    at = content.rindex(SHEET.encode()) - 46
    content[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    return bytes(content)


def remade(part: str, change: Callable[[str], str], table: Sequence[Sequence[Any]] = TABLE) -> bytes:
    """A workbook with another text in one of its parts."""
    source = zipfile.ZipFile(io.BytesIO(xlsx(table)))
    parts = {name: source.read(name).decode() for name in source.namelist()}
    return packed(parts | {part: change(parts[part])})


def repeated() -> bytes:
    """A workbook of 9 KB whose 4,000 cells all refer to one text of 4 MB."""
    row = "<row>" + '<c t="s"><v>0</v></c>' * 4 + "</row>"
    parts = PARTS | {
        "xl/sharedStrings.xml": f"<sst {MAIN}><si><t>{'a ' * 2_000_000}</t></si></sst>",
        SHEET: f"<worksheet {MAIN}><sheetData>{row * 1000}</sheetData></worksheet>",
    }
    return packed(parts)


def crowded(part: str, before: str, tag: str) -> bytes:
    """A workbook of 15 KB, of 8 MB without compression, and of up to a gigabyte as objects of openpyxl."""
    return remade(part, lambda text: text.replace(before, before + tag * (8_000_000 // len(tag)), 1))


ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FORMAT = f'<numFmts count="1"><numFmt numFmtId="164" formatCode="{"[" * 100_000}"/></numFmts>'
AREA = (
    f'<definedNames><definedName name="_xlnm.Print_Area" localSheetId="0">{"x" * 50_000}</definedName></definedNames>'
)
HOSTILE: dict[str, Callable[[], bytes]] = {
    "zip bomb": bomb,
    "zip bomb that lies": liar,
    "one text in every cell": repeated,
    "cells of nothing": lambda: crowded(SHEET, '<row r="1">', "<c/>"),
    "rows of nothing": lambda: crowded(SHEET, "<sheetData>", "<row/>"),
    "formats of nothing": lambda: crowded("xl/styles.xml", '<cellXfs count="1">', "<xf/>"),
    "brackets in a format": lambda: remade(
        "xl/styles.xml",
        lambda text: text.replace('<numFmts count="0" />', FORMAT).replace('numFmtId="0"', 'numFmtId="164"'),
    ),
    "long print area": lambda: remade("xl/workbook.xml", lambda text: text.replace("<definedNames />", AREA)),
    "zip of nothing": lambda: b"PK\x03\x04" + b"\0" * 1000,
    "zip cut off": lambda: xlsx(TABLE)[:-200],
    "no workbook": lambda: remade("[Content_Types].xml", lambda text: ""),
    "entities": lambda: excel(ENTITIES),
    "string that is nowhere": lambda: excel(number="99999999"),
    "row without end": lambda: remade(SHEET, lambda text: text.replace('r="2"', 'r="99999999999"')),
    "row that is no number": lambda: remade(SHEET, lambda text: text.replace('r="2"', 'r="x"')),
    "cell that is nowhere": lambda: remade(SHEET, lambda text: text.replace('"A2"', '"ZZZZZ2"')),
    "wide sheet": lambda: xlsx([["email"] * 5000]),
    "old excel": lambda: b"\xd0\xcf\x11\xe0" + b"\0" * 10_000,
    "5,000 columns": lambda: b"a@example.net," * 5000,
    "commas": lambda: b"," * 500_000 + b"x",
    "NULs": lambda: b"email\na@example.net\0\n",
    "only NULs": lambda: b"\0" * 900_000,
    "garbage": lambda: bytes(range(128, 256)) * 1000,
    "long cell": lambda: b'email\n"' + b"y" * 900_000,
    "quotes": lambda: b'"' * 900_000,
    "many lines": lambda: b"a\n" * 450_000,
}


def test_bd10_a_hostile_file_is_refused_with_a_message_and_soon(
    auth: Any, boss: TestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together they meet every reason that the page knows."""

    def refused(content: bytes, kind: str, seconds: float = 4) -> str:
        began = time.thread_time()
        page = sent(boss, content, emails="typed@example.net")
        assert page.status_int == 422, kind
        assert page.forms["staff-bulk"]["emails"].value == "typed@example.net", "nothing typed is lost"
        assert time.thread_time() - began < seconds, kind
        assert len(auth.accounts.search()) == 1, kind
        return str(page.html.select_one('[role="alert"] .what').text)

    texts = []
    for kind, made in HOSTILE.items():
        texts.append(refused(made(), kind, 1 if kind == "one text in every cell" or "of nothing" in kind else 4))
    texts += [refused(b"name\nx", "no address"), refused(b"email,email\n", "two columns")]
    monkeypatch.setattr(staff_xlsx, "_LIBRARIES", ("no_such_library",))
    texts.append(refused(xlsx(TABLE), "no library"))
    for reason in PAGE_REASONS:
        begins = auth._web.pages.text("en", f"problem.file_rejected_{reason}.title", about="|").partition("|")[0]
        assert any(text.startswith(begins) for text in texts), reason


@pytest.mark.parametrize("content", ["=1+1", "@SUM(A1)", "+x", "-2", "\t=x", '=HYPERLINK("http://x")'])
def test_a_formula_is_text(auth: Any, boss: TestApp, content: str) -> None:
    quoted = content.replace('"', '""')
    page = sent(boss, f'email,name,memo\na@example.net,"{quoted}","{quoted}"\n'.encode())
    page.forms["staff-preview"].submit("confirm", status=200)
    assert columns(auth, "a@example.net")[0] == content.strip()
    sheet = xlsx([["email", "name"], ["b@example.net", content]])
    assert sent(boss, sheet).status_int == 200


@pytest.mark.parametrize("length", [MOST_UPLOAD + 1, 10_000_000])
def test_bd9_a_file_that_is_too_large_is_refused_with_the_form(auth: Any, boss: TestApp, length: int) -> None:
    page = sent(boss, b"a" * length)
    assert page.status_int == 413
    assert "Files up to 1 MB can be read." in page.text
    assert page.forms["staff-bulk"]
    assert len(auth.accounts.search()) == 1


@pytest.mark.parametrize("signed_in", [False, True])
def test_bd9_a_form_with_a_file_is_read_of_administrators_alone(auth: Any, signed_in: bool) -> None:
    person(auth)
    device = browser(auth)
    if signed_in:
        sign_in(device)
    read: list[int] = []

    class Body(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            read.append(size or 0)
            return super().read(size)

    body = (
        b'--x\r\nContent-Disposition: form-data; name="upload"; filename="a.csv"\r\n\r\n'
        + b"a" * 500_000
        + b"\r\n--x--"
    )
    answer = multipart(device, body, environ={"wsgi.input": Body(body)})
    assert answer.status_int == (403 if signed_in else 401)
    assert read == []


HEAD = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
FORMS = {
    "cut off": HEAD % (b"emails", b"a@example.net"),
    "twice": HEAD % (b"emails", b"a") + HEAD % (b"emails", b"b") + b"--x--\r\n",
    "no name": b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n",
    "no UTF-8": HEAD % (b"emails", b"\xff") + b"--x--\r\n",
    "many parts": b"".join(HEAD % (b"n%d" % n, b"") for n in range(60)) + b"--x--\r\n",
    "no boundary at all": b"a" * 900_000,
    "line ends": b"\r\n--x" + b"\r\n" * 400_000,
}


@pytest.mark.parametrize("kind", FORMS)
def test_bd9_a_malformed_form_is_refused(auth: Any, boss: TestApp, kind: str) -> None:
    began = time.thread_time()
    assert multipart(boss, FORMS[kind]).json["code"] == "bad_request"
    assert time.thread_time() - began < 2
    assert len(auth.accounts.search()) == 1


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'x' * 71}"]
)
def test_a_form_names_its_boundary(boss: TestApp, kind: str) -> None:
    body = HEAD % (b"emails", b"a@example.net") + b"--x--\r\n"
    assert multipart(boss, body, kind).json["code"] == "bad_request"


def test_a_file_without_rows_is_no_list(boss: TestApp) -> None:
    for content in (b"\r" * 900_000, b"", "メール,名前\n".encode(), b"\xef\xbb\xbf"):
        page = sent(boss, content)
        assert (page.status_int, "There is nobody to add" in page.text) == (422, True)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="'=+-@＝－a あ\t\n\"", max_size=8).map(str.strip))
def test_an_escaped_cell_is_read_as_what_it_was(cell: str) -> None:
    assert plain(harmless(cell)) == cell


def rows_of(*names: str) -> list[AccountRow]:
    return [AccountRow(line, {"email": f"{name}@example.net", "name": name}) for line, name in enumerate(names)]


def invited_from(auth: Any, rows: Sequence[AccountRow]) -> list[Line]:
    """The outcomes of rows that a look has found fit, each with an invitation."""
    services = auth._services

    def invited(row: AccountRow) -> Line:
        return create(services, row, role="staff", invite=True, actor=Actor("a list"))

    return list(create_each(services, rows, invited, lambda _row: True))


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_iv4_a_row_that_is_refused_among_others_leaves_each_of_them_whole(
    kind: str, tmp_path: Path, mailer: MemoryMailer
) -> None:
    store = MemoryStore() if kind == "memory" else SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    if isinstance(store, SQLStore):
        store.create_schema()
    auth = middleware(store=store, mailer=mailer)
    lines = invited_from(auth, rows_of("aoki", "baba", "aoki", "chiba"))
    assert [line.code for line in lines] == ["", "", "email_taken", ""]
    assert [line.row.line for line in lines] == [0, 1, 2, 3]
    for name in ("aoki", "baba", "chiba"):
        email = f"{name}@example.net"
        assert sorted(event.event for event in events(auth) if event.email == email) == ["account_created", "invited"]
        assert [message.to for message in mailer.outbox].count(email) == 1


def test_iv4_a_row_that_is_refused_half_way_leaves_nothing_and_the_others_whole(
    auth: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = staff.change_account_state

    def refuses_one(services: Any, user_id: str, **values: Any) -> Any:
        if services.users.get(user_id).email == "baba@example.net":
            raise EmailTaken
        return change(services, user_id, **values)

    monkeypatch.setattr(staff, "change_account_state", refuses_one)
    assert [line.code for line in invited_from(auth, rows_of("aoki", "baba", "chiba"))] == ["", "email_taken", ""]
    found = [auth.accounts.find(f"{name}@example.net") is not None for name in ("aoki", "baba", "chiba")]
    assert found == [True, False, True]


def test_an_address_that_is_twice_in_a_list_spends_no_quota_of_the_others_twice(auth: Any) -> None:
    services = auth._services
    facts = {"role": "staff", "invite": True, "must_change": False, "password_for": str}
    lines = create_many(
        services, rows_of("aoki", "baba", "aoki"), actor=Actor("an admin", Client("192.0.2.1")), **facts
    )
    assert not isinstance(lines, Refused)
    assert [line.code for line in lines] == ["", "", "email_taken"]
    # Five invitations of one address an hour: one is spent.
    assert services.quotas.allow_mails("address baba@example.net", "invitation of", 4, an_hour=5)


def test_iv4_of_rows_that_are_written_together_an_outage_leaves_none(
    auth: Any, mailer: MemoryMailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    auth._services.log._listeners = (lambda event: told.append(event.event),)
    append, seen = MemoryStore.append_event, list[str]()

    def fails_at_last(store: MemoryStore, event: Any) -> None:
        seen.append(event.event)
        if len(seen) == 5:
            raise StoreUnavailable("down")
        append(store, event)

    monkeypatch.setattr(MemoryStore, "append_event", fails_at_last)
    with pytest.raises(StoreUnavailable):
        invited_from(auth, rows_of("aoki", "baba", "chiba"))
    monkeypatch.undo()
    assert len(seen) == 5
    assert [auth.accounts.find(f"{name}@example.net") for name in ("aoki", "baba", "chiba")] == [None] * 3
    assert (told, mailer.outbox) == ([], [])
    assert not {"account_created", "invited"} & {event.event for event in events(auth)}
