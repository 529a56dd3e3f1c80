"""The words of a list of accounts in every language: what an export writes, and what an import reads."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nipo_auth_mw._pages.catalogues import Catalogues
from nipo_auth_mw.config import AuthConfig

COLUMNS = ("name", "reading", "email", "role", "active", "notify_email", "memo")
"""The columns that the pages read, and that an export has, in its order."""
_HEADINGS = {
    "name": ("name", "名前", "氏名", "お名前", "フルネーム"),
    "reading": ("reading", "furigana", "kana", "ふりがな", "フリガナ", "よみがな", "よみ", "読み", "カナ"),
    "email": (
        *("email", "e-mail", "mail", "mailaddress", "emailaddress", "メールアドレス", "メール", "eメール"),
        *("ログインid", "address", "アドレス", "id"),
    ),
    "role": ("role", "権限", "役割"),
    "active": ("active", "state", "status", "状態"),
    "notify_email": ("notify_email", "通知先"),
    "memo": ("memo", "note", "notes", "メモ", "備考"),
    "language": ("language", "言語"),
    "must_change": ("must_change",),
    "password_hash": ("password_hash",),
}
ALL_COLUMNS = tuple(_HEADINGS)
"""The columns that the command line reads."""
FLAGS = frozenset({"active", "must_change"})
_FLAG = dict.fromkeys(("1", "true", "yes", "t", "y", "active", "有効", "はい", "○"), True)
_FLAG |= dict.fromkeys(("0", "false", "no", "f", "n", "disabled", "inactive", "無効", "いいえ", "×"), False)
_LEAST = 99


@dataclass(frozen=True, slots=True)
class Words:
    """The words that a list may have: `headings` are columns by folded heading, with the rank of the heading among
    those of its column; `values` are the values of a column by folded word."""

    headings: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def words_read(catalogues: Catalogues, config: AuthConfig) -> Words:
    """The words that an import reads: those of every language, with what a host app has replaced, and other usual
    ones."""
    headings = {folded(word): (column, rank) for column, names in _HEADINGS.items() for rank, word in enumerate(names)}
    roles, flags = {folded(role): role for role in config.roles}, dict(_FLAG)
    for language in config.languages:
        for column, heading in headings_in(catalogues, language).items():
            headings.setdefault(folded(heading), (column, _LEAST))
        shown = words_shown(catalogues, config, language)
        roles = {folded(name): role for role, name in shown["role"].items()} | roles
        flags = {folded(name): flag for flag, name in shown["active"].items()} | flags
    return Words(headings, {"role": roles, **dict.fromkeys(FLAGS, flags)})


def headings_in(catalogues: Catalogues, language: str) -> dict[str, str]:
    """The headings of an export in a language, by column."""
    return {column: catalogues.text(language, f"staff.csv.{column}") for column in COLUMNS}


def words_shown(catalogues: Catalogues, config: AuthConfig, language: str) -> dict[str, dict[Any, str]]:
    """The words of an export in a language, by column and value."""
    return {
        "role": {role: catalogues.name(language, "role", role) for role in config.roles},
        "active": {True: catalogues.text(language, "staff.active"), False: catalogues.text(language, "staff.disabled")},
    }


def folded(text: str) -> str:
    """The text as headings and words are compared: without differences of width, case and blanks."""
    return re.sub(r"[\s*※]+", "", unicodedata.normalize("NFKC", text[:100]).casefold())
