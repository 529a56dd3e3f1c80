"""The pages people see: templates, texts and static files, prepared once. The only door of Jinja2."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateNotFound,
    pass_context,
    select_autoescape,
)
from jinja2.runtime import Context
from markupsafe import Markup

from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.models import Message
from nipo_auth_mw.parts.agents import describe
from nipo_auth_mw.parts.assets import Assets
from nipo_auth_mw.parts.texts import Texts, blocks

_HERE = Path(__file__).parent.parent


class Problem(NamedTuple):
    """A refusal in a person's language: `title` says what happened, `detail` what to do and whom to ask."""

    code: str
    title: str
    detail: str
    retry_after: int | None = None


class Pages:
    """Renders our pages; whatever is put into them is escaped.

    `templates` is a directory, or any Jinja2 loader: a file there replaces ours of the same name, and may extend ours
    as `nipo_auth_mw/<name>`. So do `theme.css`, `auth.css` and `auth.js`; `locale/<language>.toml` there replaces
    single texts or adds a language. Raises `ConfigError` for a directory that is none and for a text that is missing.
    """

    def __init__(self, config: AuthConfig, templates: str | os.PathLike[str] | BaseLoader | None = None) -> None:
        self._prefix = config.prefix
        self._home = config.home
        self._zone = config.zone
        self._languages = config.languages
        self._default_language = config.default_language
        ours = FileSystemLoader(_HERE / "templates")
        named = PrefixLoader({"nipo_auth_mw": ours})
        host = _host_loader(templates)
        self._env = Environment(
            loader=ChoiceLoader([named, host, ours] if host else [named, ours]),
            # All is escaped but the plain text of a mail, ours or a host's.
            autoescape=select_autoescape(disabled_extensions=("mail.txt",), default_for_string=True, default=True),
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )

        def read_host(name: str) -> str | None:
            return _source(self._env, host, name)

        self.texts = Texts(config.languages, read_host)
        files = {path.name: path.read_bytes() for path in sorted((_HERE / "static").iterdir()) if path.is_file()}
        self.assets = Assets(
            {name: body if (text := read_host(name)) is None else text.encode() for name, body in files.items()}
        )
        self._env.globals.update(
            site_name=config.site_name or urlsplit(config.base_url).netloc,
            languages=[(code, self.texts.text(code, "language.name")) for code in config.languages],
            t=self._t,
            named=self._named,
            url=self._url,
            home=self._home_path,
            static=self._static,
            device=describe,
            blocks=blocks,
        )
        self._env.filters.update(when=self._when, duration=self._duration)

    def render(self, template: str, language: str, **context: object) -> str:
        """The page as text. `root` is the path prefix people see before every path of the app, "" at the top."""
        return self._env.get_template(template).render(context, language=language)

    def mail(self, kind: str, language: str, to: str, **context: object) -> Message:
        """A mail as plain text and HTML, from `message.mail.txt`, `message.mail.html` and the texts `mail.<kind>.…`.

        A host may give one kind a template of its own, as `<kind>.mail.txt`.
        """
        language = language if language in self._languages else self._default_language
        text, html = (
            self._env.select_template([f"{kind}.mail.{part}", f"message.mail.{part}"]).render(
                context, kind=kind, language=language
            )
            for part in ("txt", "html")
        )
        site_name = str(self._env.globals["site_name"])
        return Message(to, self.texts.text(language, f"mail.{kind}.subject", site_name=site_name), text, html)

    def text(self, language: str, key: str, **values: object) -> str:
        """One text, plain: for JSON, mails, and whatever else is no HTML (`Texts.text`)."""
        return self.texts.text(language, key, **values)

    def problem(self, language: str, code: str, *, retry_after: int | None = None, **values: object) -> Problem:
        """The refusal `code` in words. Codes of a lock need `retry_after`, in seconds; KeyError without it."""
        if retry_after is not None:
            values["retry_after"] = self.texts.duration(language, retry_after)
        title, detail = (self.texts.text(language, f"problem.{code}.{part}", **values) for part in ("title", "detail"))
        return Problem(code, title, detail, retry_after)

    def said(self, language: str, word: str) -> str:
        """The sentence about what was just done that goes by this name, "" for a name that is none of ours."""
        said = self.texts.name(language, "said", word)
        return "" if said == word else said

    def advice(self, language: str, english: Sequence[str]) -> list[str]:
        """What zxcvbn says of a password, in our words; its texts are known by their English ones."""
        keys = [re.sub("[^a-z0-9]+", "_", text.lower()).strip("_") for text in english]
        told = [self.texts.name(language, "advice", key) for key in keys]
        return [text for text, key in zip(told, keys, strict=True) if text != key]

    @pass_context
    def _t(self, context: Context, key: str, **values: object) -> str:
        return self.texts.text(context["language"], key, **values)

    @pass_context
    def _named(self, context: Context, kind: str, word: str) -> str:
        return self.texts.name(context["language"], kind, word)

    @pass_context
    def _url(self, context: Context, route: str, **query: str | None) -> str:
        """The path of one of our routes as people see it; empty values are left out of the query."""
        given = {name: value for name, value in query.items() if value}
        return f"{context['root']}{self._prefix}/{route}" + (f"?{urlencode(given)}" if given else "")

    @pass_context
    def _home_path(self, context: Context) -> str:
        return f"{context['root']}{self._home}"

    @pass_context
    def _static(self, context: Context, name: str) -> str:
        return f"{context['root']}{self._prefix}/static/{self.assets.name_of(name)}"

    @pass_context
    def _when(self, context: Context, time: datetime) -> Markup:
        machine = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Markup('<time datetime="{}">{}</time>').format(
            machine, self.texts.moment(context["language"], time.astimezone(self._zone))
        )

    @pass_context
    def _duration(self, context: Context, seconds: int) -> str:
        return self.texts.duration(context["language"], seconds)


def _host_loader(templates: str | os.PathLike[str] | BaseLoader | None) -> BaseLoader | None:
    if templates is None or isinstance(templates, BaseLoader):
        return templates
    if not Path(templates).is_dir():
        raise ConfigError("templates", f"{os.fspath(templates)!r} is no directory", "Give the path of one")
    return FileSystemLoader(templates)


def _source(env: Environment, loader: BaseLoader | None, name: str) -> str | None:
    if loader is None or not loader.has_source_access:
        return None
    try:
        return loader.get_source(env, name)[0]
    except TemplateNotFound:
        return None
    except UnicodeDecodeError:
        raise ConfigError("templates", f"{name} is not UTF-8", "Save it as UTF-8") from None
