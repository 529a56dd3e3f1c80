"""The texts that users read: one catalogue for each language.

Texts of the host app are checked at construction, so a mistake stops the start and not a request.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from nipo_auth_mw._pages.disk_cache import cached
from nipo_auth_mw.errors import ConfigError

_log = logging.getLogger("nipo_auth_mw")
_ALMOST = 0.9
"""How much of a misspelt key is right: about one letter of ten may be wrong."""
_TWO_DAYS = 48
_SHIPPED = Path(__file__).parent.parent / "locale"
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


class Catalogues:
    """The texts of `languages`: the shipped ones, and over or beside them those of the host app.

    `read_host("locale/fr.toml")` returns the content of the host app's file, or None. The file overrides any key of a
    shipped language or adds a language. A text that a language lacks comes from `default_language`, or from English if
    that lacks it, too; one warning lists the missing keys. Raises `ConfigError` for a language without any texts, for a
    file that is not TOML, and for a text with an unknown placeholder.
    """

    def __init__(
        self,
        languages: Sequence[str],
        read_host: Callable[[str], str | None] = lambda _: None,
        *,
        default_language: str = "en",
    ) -> None:
        own = {language: _own(language, read_host) for language in languages}
        misspelt = {key for language, catalogue in own.items() for key in _misspelt(language, catalogue)}
        fallback = {**shipped("en"), **own.get(default_language, {})}
        self._catalogues: dict[str, Mapping[str, str]] = {}
        for language, catalogue in own.items():
            missing = fallback.keys() - catalogue.keys()
            if lacking := missing - misspelt:
                other = "en" if language == default_language else default_language
                _log.warning("the language %r falls back to %r for %s", language, other, ", ".join(sorted(lacking)))
            if unknown := catalogue.keys() - fallback.keys() - misspelt:
                # A role of the host app may have a name in one language alone, so a misspelt key is no error.
                _log.warning("the language %r alone has the keys %s", language, ", ".join(sorted(unknown)))
            self._catalogues[language] = {**fallback, **catalogue} if missing else catalogue
            _check_placeholders(language, catalogue)

    def text(self, language: str, key: str, **values: object) -> str:
        """The text of a key, with each `{name}` replaced by its value. Nothing inside a value is interpreted.

        Raises `KeyError` for an unknown key and for a placeholder without a value.
        """
        return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), self._catalogues[language][key])

    def name(self, language: str, kind: str, word: str) -> str:
        """The name that users see for a word of the code, such as a role; the word itself if it has no name."""
        return self._catalogues[language].get(f"{kind}.{word}", word)

    def duration(self, language: str, seconds: int) -> str:
        """A duration such as "4 minutes 10 seconds". Units that are zero are left out; zero is "0 seconds".

        Days are named from two days on: "24 hours" says what "a day" may not.
        """
        minutes, seconds = divmod(max(seconds, 0), 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24) if hours >= _TWO_DAYS else (0, hours)
        amounts = [(days, "day"), (hours, "hour"), (minutes, "minute"), (seconds, "second")]
        shown = [pair for pair in amounts if pair[0]] or amounts[-1:]
        words = (self.text(language, f"duration.{unit}{'' if n == 1 else 's'}", n=n) for n, unit in shown)
        return self.text(language, "duration.join").join(words)

    def moment(self, language: str, time: datetime, now: datetime) -> str:
        """A moment as people name it: today and yesterday by these words, another day with its date and weekday.

        Both are in the zone of the page. Raises `ValueError` without a zone.
        """
        days = (now.date() - time.astimezone(now.tzinfo).date()).days
        word = {0: "today", 1: "yesterday"}.get(days, "format")
        return self._formatted(language, f"time.{word}", time)

    def date(self, language: str, time: datetime) -> str:
        """A moment with its date and weekday, in the time's own zone. Raises `ValueError` without a zone."""
        return self._formatted(language, "time.format", time)

    def until(self, language: str, time: datetime, now: datetime) -> str:
        """The time of day; with its date if that is not today."""
        word = "clock" if time.date() == now.date() else "format"
        return self._formatted(language, f"time.{word}", time)

    def zone(self, language: str, key: str) -> str:
        """The name of a time zone; its key if it has none."""
        word = key.replace("/", "_")
        found = self.name(language, "zone", word)
        return key if found == word else found

    def zoned(self, language: str, time: str, key: str) -> str:
        """A time with its zone, for a sentence that is read without its page: in a mail, on paper, in a refusal.

        The zone that readers of the language take for granted is left out.
        """
        if key == self.text(language, "time.home"):
            return time
        return self.text(language, "time.zoned", time=time, zone=self.zone(language, key))

    def _formatted(self, language: str, key: str, time: datetime) -> str:
        if time.utcoffset() is None:
            raise ValueError("the time has no zone")
        hour = str(time.hour).zfill(len(self.text(language, "time.hour")))
        clock = self.text(language, "time.clock", hour=hour, minute=f"{time.minute:02}")
        if key == "time.clock":
            return clock
        return self.text(
            language,
            key,
            year=time.year,
            month=self.text(language, "time.months").split()[time.month - 1],
            day=time.day,
            weekday=self.text(language, "time.weekdays").split()[time.weekday()],
            clock=clock,
        )


def _own(language: str, read_host: Callable[[str], str | None]) -> Mapping[str, str]:
    """The shipped texts of a language with those of the host app over them."""
    name = f"locale/{language}.toml"
    host = read_host(name)
    catalogue = shipped(language) if host is None else {**shipped(language), **_parse(name, host)}
    if not catalogue:
        hint = f"Put {name} into the directory given as `templates`."
        raise ConfigError("languages", f"{language!r} has no texts", hint)
    return catalogue


@lru_cache(maxsize=64)
def shipped(language: str) -> Mapping[str, str]:
    """The shipped catalogue of a language, one file a feature merged, read-only; empty for an unknown language.

    All middlewares of a process share it, since parsing TOML is most of what building one costs.
    """
    files = {path.name: path.read_bytes() for path in sorted((_SHIPPED / language).glob("*.toml"))}

    def parse() -> dict[str, str]:
        texts: dict[str, str] = {}
        for name, content in files.items():
            texts |= _parse(f"locale/{language}/{name}", content.decode("utf-8"))
        return texts

    texts = cached(f"{language}.toml", (Path(__file__), *files.values()), parse) if files else {}
    return MappingProxyType(texts)


def _parse(name: str, text: str) -> dict[str, str]:
    import tomllib

    try:
        return dict(_flat(name, tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("templates", f"{name} is not TOML: {error}", "Correct that line.") from None


def _flat(name: str, table: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    """The texts of nested tables by their dotted keys."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(name, value, f"{above}{key}.")
        elif isinstance(value, str):
            yield above + key, value
        else:
            raise ConfigError("templates", f"{name}: {above}{key} is not text", "Put it in quotes.")


def _misspelt(language: str, catalogue: Mapping[str, str]) -> set[str]:
    """The keys that are almost those of a shipped text, each logged; roles are the host app's own."""
    found = set()
    for key in sorted(catalogue.keys() - shipped("en").keys()):
        meant = get_close_matches(key, shipped("en"), 1, _ALMOST)
        if meant and not key.startswith("role."):
            _log.warning(
                "locale/%s.toml has the key %s, which no page shows; the pages have %s", language, key, meant[0]
            )
            found.add(key)
    return found


def _check_placeholders(language: str, catalogue: Mapping[str, str]) -> None:
    """Raise `ConfigError` for a text with a placeholder that the shipped English text of the same key lacks.

    Such a placeholder would have no value when the page is rendered.
    """
    english = shipped("en")
    if catalogue is shipped(language):
        return
    for key, text in catalogue.items():
        unknown = placeholders(text) - placeholders(english.get(key, text))
        if unknown:
            problem = f"{language!r}: {key} has {sorted(unknown)}, for which there is no value"
            raise ConfigError("languages", problem, "Remove them from the text.")


def blocks(text: str) -> list[tuple[str, list[str]]]:
    """The blocks of a longer text.

    Consecutive lines that begin with a dash are one ("list", lines); every other line is a ("paragraph", [line]).
    """
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        kind = "list" if line.startswith("- ") else "paragraph"
        if kind == "list" and found and found[-1][0] == "list":
            found[-1][1].append(line[2:])
        else:
            found.append((kind, [line.removeprefix("- ")]))
    return found


def placeholders(text: str) -> set[str]:
    """The names of the placeholders in a text: `{minutes}` is `minutes`."""
    return set(_PLACEHOLDER.findall(text))
