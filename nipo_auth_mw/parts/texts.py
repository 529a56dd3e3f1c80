"""All sentences people read, one catalogue a language, read and compared at construction."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from nipo_auth_mw.errors import ConfigError

_OURS = Path(__file__).parent.parent / "locale"
_PLACE = re.compile(r"\{([a-z_]+)\}")


class Texts:
    """The catalogues of `languages`: ours in `locale/`, and over or beside them what `read_host` finds.

    `read_host("locale/fr.toml")` gives the text of a host's file or None. A host's file for one of our languages
    replaces the keys it has; one for another language has all keys. Raises `ConfigError` that names what is missing.
    """

    def __init__(self, languages: Sequence[str], read_host: Callable[[str], str | None] = lambda _: None) -> None:
        english = _read(_OURS / "en.toml")
        self._catalogues: dict[str, dict[str, str]] = {}
        for language in languages:
            ours = _OURS / f"{language}.toml"
            catalogue = _read(ours) if ours.is_file() else {}
            name = f"locale/{language}.toml"
            host = read_host(name)
            if host is not None:
                catalogue |= _parse(name, host)
            if not catalogue:
                raise ConfigError(
                    "languages", f"{language!r} has no texts", f"Put {name} into the directory given as `templates`"
                )
            self._catalogues[language] = catalogue
        _compare(self._catalogues, english)

    def text(self, language: str, key: str, **values: object) -> str:
        """The sentence, with `{name}` replaced by the value as it stands: nothing inside a value is interpreted.

        KeyError for an unknown key and for a place without a value.
        """
        return _PLACE.sub(lambda place: str(values[place[1]]), self._catalogues[language][key])

    def name(self, language: str, kind: str, word: str) -> str:
        """What people call a word of ours, such as a role; the word itself when the catalogue has no name for it."""
        return self._catalogues[language].get(f"{kind}.{word}", word)

    def duration(self, language: str, seconds: int) -> str:
        """Such as "4 minutes 10 seconds": hours, minutes and seconds that are not zero."""
        minutes, seconds = divmod(max(seconds, 0), 60)
        hours, minutes = divmod(minutes, 60)
        amounts = [(hours, "hour"), (minutes, "minute"), (seconds, "second")]
        shown = [pair for pair in amounts if pair[0]] or amounts[-1:]
        words = (self.text(language, f"duration.{unit}{'' if n == 1 else 's'}", n=n) for n, unit in shown)
        return self.text(language, "duration.join").join(words)

    def moment(self, language: str, time: datetime) -> str:
        """Date and time of day in the time's own zone, which is named. ValueError for a time without a zone."""
        offset = time.utcoffset()
        if offset is None:
            raise ValueError("a time without a zone says nothing")
        sign, size = ("-", -offset) if offset < timedelta(0) else ("+", offset)
        hours, minutes = divmod(size // timedelta(minutes=1), 60)
        return self.text(
            language,
            "time.format",
            year=time.year,
            month=self.text(language, "time.months").split()[time.month - 1],
            day=time.day,
            clock=f"{time:%H:%M}",
            zone=f"UTC{sign}{hours:02}:{minutes:02}" if offset else "UTC",
        )


def _read(path: Path) -> dict[str, str]:
    return _parse(f"locale/{path.name}", path.read_text("utf-8"))


def _parse(name: str, text: str) -> dict[str, str]:
    try:
        return dict(_flat(name, tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("templates", f"{name} is not TOML: {error}", "Mend that line") from None


def _flat(name: str, table: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(name, value, f"{above}{key}.")
        elif isinstance(value, str):
            yield above + key, value
        else:
            raise ConfigError("templates", f"{name}: {above}{key} is no text", "Put it in quotes")


def _compare(catalogues: Mapping[str, Mapping[str, str]], english: Mapping[str, str]) -> None:
    """Every key in every language, and no place that the English text, or the only one, lacks."""
    needed = set(english).union(*catalogues.values())
    for language, catalogue in catalogues.items():
        missing = sorted(needed - catalogue.keys())
        if missing:
            raise ConfigError("languages", f"{language!r} lacks {', '.join(missing)}", f"Add them to {language}.toml")
        for key, text in catalogue.items():
            odd = places(text) - places(english.get(key, text))
            if odd:
                raise ConfigError(
                    "languages", f"{language!r}: {key} has {sorted(odd)}, for which there is no value", "Remove them"
                )


def blocks(text: str) -> list[tuple[str, list[str]]]:
    """A longer text taken apart: ("paragraph", [line]) for each line, and ("list", lines) for lines that begin with a
    dash and stand together."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        kind = "list" if line.startswith("- ") else "paragraph"
        if kind == "list" and found and found[-1][0] == "list":
            found[-1][1].append(line[2:])
        else:
            found.append((kind, [line.removeprefix("- ")]))
    return found


def places(text: str) -> set[str]:
    """The names in braces."""
    return set(_PLACE.findall(text))
