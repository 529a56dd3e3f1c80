"""How the staff list searches and sorts. An administrator finds a name however it is typed.

Both sides of a search are folded: width, case, blanks, hiragana and katakana, small kana, and the variants of kanji in
`VARIANTS`. This is for searching alone. Addresses are compared exactly elsewhere, so no folding makes one account look
like another at sign-in.
"""

from __future__ import annotations

import json
import unicodedata

READING = "reading"
"""The attribute of an account's state that has the reading of the name (furigana)."""

VARIANTS = (
    "髙高 﨑崎 嵜崎 碕崎 邊辺 邉辺 齋斉 齊斉 斎斉 𠮷吉 濵浜 濱浜 澤沢 嶋島 嶌島 廣広 國国 眞真 惠恵 櫻桜 "
    "圓円 條条 瀧滝 龍竜 黑黒 德徳 學学 將将 壽寿 榮栄 實実 爲為 豐豊 譽誉 禮礼 彌弥 來来 會会 渕淵 渊淵 "
    "冨富 峯峰 栁柳 桒桑 舘館 舩船 凜凛 與与 靜静 遙遥 藪薮 籠篭 曾曽 檜桧 槇槙 莊荘 萬万 淺浅 鷗鴎 鄕郷 "
    "槗橋 𣘺橋 祇祗 薗園 穗穂 關関 瀨瀬 濟済 藏蔵 佛仏 寶宝 團団 壯壮 增増 崗岡 恆恒 戶戸 拂払 收収 敍叙 "
    "曉暁 樂楽 橫横 步歩 每毎 氣気 淸清 溫温 滿満 燒焼 狹狭 瑤瑶 畫画 當当 礒磯 祕秘 祿禄 稻稲 竸競 綠緑 "
    "總総 縣県 緖緒 聲声 臺台 艷艶 萠萌 蘆芦 號号 衞衛 裝装 讓譲 豫予 賴頼 辨弁 辯弁 釋釈 鐵鉄 鑛鉱 險険 "
    "隱隠 雙双 霸覇 顯顕 驛駅 鬪闘 鹽塩 麥麦 麴麹 點点 齡齢 龜亀 籔薮 埜野 桺柳 峩峨 杦杉 斈学 靑青 飮飲 "
    "鶯鴬 默黙"
)
"""Pairs of a variant and the character that it is searched and sorted as: those that occur in Japanese names."""

_SMALL_KANA = dict(zip("ぁぃぅぇぉっゃゅょゎゕゖ", "あいうえおつやゆよわかけ", strict=True))
_VOICED = "\u3099\u309a"
_VARIATION_SELECTORS = (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
_MOST_WORDS = 8
_HALF_A_KEY = 120


def _table() -> dict[int, str | None]:
    kana = {code: chr(code - 0x60) for code in range(0x30A1, 0x30F7)}
    kana = {code: _SMALL_KANA.get(letter, letter) for code, letter in kana.items()}
    small = {ord(small): large for small, large in _SMALL_KANA.items()}
    variants = {ord(pair[0]): pair[1] for pair in VARIANTS.split()}
    return {**kana, **small, **variants, **dict.fromkeys(_VARIATION_SELECTORS)}


_TABLE = _table()


def folded(text: str) -> str:
    """The text as a search compares it, without blanks."""
    return "".join(_spelt(text).split())


def words_of(text: str) -> list[str]:
    """The folded words of a search. Each must occur in an account's address, name or reading."""
    parts = text.split()
    parts = [*parts[: _MOST_WORDS - 1], "".join(parts[_MOST_WORDS - 1 :])] if len(parts) > _MOST_WORDS else parts
    return [folded(part) or part for part in parts]


def sort_key(name: str, reading: str, email: str) -> str:
    """The key of the order by name: by the reading, by the name where there is none, and by the address at last.

    As in a dictionary か and が are one letter, unless the words are equal otherwise.
    """
    spelt = " ".join(_spelt(reading or name or email).split())
    plain = "".join(letter for letter in unicodedata.normalize("NFD", spelt) if letter not in _VOICED)
    return f"{plain[:_HALF_A_KEY]} {spelt[:_HALF_A_KEY]}"


def folded_values(email: str, name: str, reading: str) -> dict[str, str]:
    """The columns of an account that the staff list searches and sorts by. No word of a search spans two of them."""
    return {
        "email_folded": folded(email),
        "name_folded": f"{folded(name)}\n{folded(reading)}",
        "sort_key": sort_key(name, reading, email),
    }


def reading_in(attributes: str) -> str:
    """The reading of a name, in the JSON text of an account's state."""
    return str(json.loads(attributes).get(READING, "")) if READING in attributes else ""


def _spelt(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).casefold().translate(_TABLE)
