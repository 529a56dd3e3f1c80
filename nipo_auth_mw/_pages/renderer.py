"""Renders pages and mails from templates and texts, prepared at construction. The only module that imports Jinja2."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, MutableMapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple
from urllib.parse import urlencode

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    Template,
    TemplateNotFound,
    TemplateSyntaxError,
    compiler,
    pass_context,
    select_autoescape,
)
from jinja2.runtime import Context
from markupsafe import Markup

from nipo_auth_mw._pages.assets import Assets, shipped_files
from nipo_auth_mw._pages.brand import Brand, initial_of
from nipo_auth_mw._pages.catalogues import Catalogues, blocks
from nipo_auth_mw._pages.disk_cache import cached
from nipo_auth_mw._pages.host_templates import warn_of_blocks, warn_of_names, warn_of_parents
from nipo_auth_mw._pages.qr_code import qr_code, qr_code_of_page
from nipo_auth_mw._pages.user_agents import by_device, describe
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.models import Message, User

_TEMPLATES = Path(__file__).parent.parent / "templates"
_PAGES = (".html", ".mail.txt")
_TEXTS = (*_PAGES, ".css", ".js", ".svg")


class Problem(NamedTuple):
    """A refusal in the user's language. `title` says what happened, `detail` what to do and whom to ask. `text` is the
    name of both in the catalogues, `topic` of the question on the help page that goes further, "" for none."""

    code: str
    title: str
    detail: str
    retry_after: int | None = None
    text: str = ""
    topic: str = ""


class Renderer:
    """Renders the pages and mails. Escapes every value, in the host app's templates, too, which stops XSS.

    `templates` is a directory or any Jinja2 loader of the host app. A file there replaces the shipped file of the same
    name: templates, `auth.css`, `auth.js` and `icon.svg`; `theme.css` comes after the shipped one. A template there may
    extend the shipped one as `nipo_auth_mw/<name>`. `locale/<language>.toml` there replaces single texts or adds a
    language. Raises `ConfigError` if the directory does not exist or a file in it is wrong.
    """

    def __init__(self, config: AuthConfig, templates: str | os.PathLike[str] | BaseLoader | None = None) -> None:
        self._prefix = config.prefix
        self._home = config.home
        self._zone = config.zone
        self._support = config.support
        self._languages = config.languages
        self._default_language = config.default_language
        shipped = _ShippedLoader(_TEMPLATES)
        by_full_name = PrefixLoader({"nipo_auth_mw": shipped})
        host = _host_loader(templates)
        self._env = _environment(ChoiceLoader([by_full_name, host, shipped] if host else [by_full_name, shipped]))

        def read_host(name: str) -> str | None:
            return _source(self._env, host, name)

        self.catalogues: Catalogues = Catalogues(config.languages, read_host, default_language=config.default_language)
        files = dict(shipped_files())
        themes = [text for text in (read_host("theme.css"), files["theme.css"].decode()) if text is not None]
        self.brand: Brand = Brand(config, self.catalogues, themes)
        files["icon.svg"] = self.brand.icon.encode()
        own = {name: text for name in files if name[-4:] != ".png" and (text := read_host(name)) is not None}
        files |= {name: text.encode() for name, text in own.items()}
        # A theme needs to give only what it changes.
        files["theme.css"] = "\n".join(reversed(themes)).encode()
        self.assets: Assets = Assets(files)
        self._login_id = config.login_id
        self._env.globals.update(
            organization=config.organization,
            host=self.brand.host,
            logo=config.logo,
            login_domain=config.login_domain,
            support=config.support,
            theme_colours=self.brand.colours,
            initial_of=initial_of,
            form_id=_form_id,
            languages=[(code, self.catalogues.text(code, "language.name")) for code in config.languages],
            t=self._t,
            named=self._named,
            url=self._url,
            home=self._home_path,
            zone_name=self._zone_name,
            static=self._static,
            device=describe,
            by_device=by_device,
            blocks=blocks,
            qr_code=qr_code,
            qr_code_of_page=qr_code_of_page,
        )
        self._env.filters.update(
            when=self._when,
            duration=self._duration,
            moment=self._moment,
            login_id=config.login_id,
            called=self._called,
        )
        if host is not None:
            self._check(host, [*files, *shipped.list_templates()])

    def _check(self, host: BaseLoader, shipped: list[str]) -> None:
        """Compile the host app's templates, and warn of names that have no effect. Raises `ConfigError`."""
        try:
            names = host.list_templates()
        except TypeError:
            # This loader cannot list its templates.
            return
        own = {name: _source(self._env, host, name) or "" for name in names if name.endswith(_TEXTS)}
        pages = {name: text for name, text in own.items() if name.endswith(_PAGES)}
        warn_of_names(own, shipped)
        warn_of_parents(own, names, shipped)
        try:
            warn_of_blocks(pages, [name for name in shipped if name.endswith(_PAGES)], self._blocks)
        except TemplateSyntaxError as problem:
            where = f"{problem.name}, line {problem.lineno}"
            raise ConfigError("templates", f"{where}: {problem.message}", "Correct that line.") from None

    def _blocks(self, name: str) -> Iterable[str]:
        return self._env.get_template(name).blocks

    def render(self, template: str, language: str, **context: object) -> str:
        """The page as text. `root` in the context is the path where the server mounts the app, "" at the top."""
        named = {"language": language, "site_name": self.brand.name(language)}
        return self._env.get_template(template).render(named | context)

    def mail(self, kind: str, language: str, to: str, **context: object) -> Message:
        """A mail as plain text and HTML, from `message.mail.txt`, `message.mail.html` and the texts `mail.<kind>.…`.

        The host app may give one kind a template of its own, `<kind>.mail.txt` or `<kind>.mail.html`.
        """
        language = language if language in self._languages else self._default_language
        site_name = self.brand.name(language)
        text, html = (
            self._env.select_template([f"{kind}.mail.{part}", f"message.mail.{part}"]).render(
                context,
                kind=kind,
                language=language,
                site_name=site_name,
                ask=self.ask(language),
                until=self._until(language, context.get("seconds")),
            )
            for part in ("txt", "html")
        )
        return Message(to, self.catalogues.text(language, f"mail.{kind}.subject", site_name=site_name), text, html)

    def _until(self, language: str, seconds: object) -> str:
        """The moment when so many seconds are over, with its date, since a mail may be read on another day; "" for
        none. Rounded down: a link works at least so long."""
        if not isinstance(seconds, int) or not seconds:
            return ""
        ends = datetime.now(self._zone) + timedelta(seconds=seconds)
        return self.catalogues.zoned(language, self.catalogues.date(language, ends), self._zone.key)

    def text(self, language: str, key: str, **values: object) -> str:
        """One text without escaping: for JSON and plain text, never for HTML. See `Catalogues.text`."""
        return self.catalogues.text(language, key, **values)

    def problem(
        self, language: str, code: str, text: str = "", *, retry_after: int | None = None, **values: object
    ) -> Problem:
        """The texts of the refusal `code`. `text` is the name of its text where that is not the code. `retry_after` is
        in seconds.

        Raises `KeyError` for an unknown text, and if the text names a waiting time and `retry_after` is None.
        """
        if retry_after is not None:
            now = datetime.now(self._zone)
            # Rounded up to the minute: at the time that is told, the wait is over.
            end = (now + timedelta(seconds=retry_after + 59)).replace(second=0, microsecond=0)
            values["until"] = self.catalogues.zoned(language, self.catalogues.until(language, end, now), self._zone.key)
            values["retry_after"] = self.catalogues.duration(language, retry_after)
        for name, value in values.items():
            if isinstance(value, timedelta):
                values[name] = self.catalogues.duration(language, int(value.total_seconds()))
        values = {"ask": self.ask(language), **values}
        key = f"problem.{text or code}"
        title, detail = (self.catalogues.text(language, f"{key}.{part}", **values) for part in ("title", "detail"))
        return Problem(code, title, detail, retry_after, text or code)

    def ask(self, language: str, role: str = "") -> str:
        """Whom a user with this role can ask, as the end of a sentence. An administrator is not sent to an
        administrator."""
        word = "support" if self._support else "admin" if role == "admin" else "user"
        return self.catalogues.text(language, f"ask.{word}", support=self._support)

    def flash(self, language: str, word: str) -> str:
        """The text of a flash message, or "" for an unknown name: any visitor can put a name into the address."""
        flash = self.catalogues.name(language, "flash", word)
        return "" if flash == word else flash

    def advice(self, language: str, english: Sequence[str]) -> list[str]:
        """zxcvbn's advice on a password in the user's language. Its English texts are the keys; unknown ones go."""
        keys = [re.sub("[^a-z0-9]+", "_", text.lower()).strip("_") for text in english]
        texts = [self.catalogues.name(language, "advice", key) for key in keys]
        return [text for text, key in zip(texts, keys, strict=True) if text != key]

    @pass_context
    def _t(self, context: Context, key: str, **values: object) -> str:
        return self.catalogues.text(context["language"], key, **values)

    @pass_context
    def _named(self, context: Context, kind: str, word: str) -> str:
        return self.catalogues.name(context["language"], kind, word)

    @pass_context
    def _url(self, context: Context, route: str, **query: str | None) -> str:
        """The path of a route, with `root` and prefix. Empty values are left out of the query."""
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
        """The moment as people name it, with its date in `title`. The same with and without script."""
        machine, local = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), time.astimezone(self._zone)
        language = context["language"]
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            machine,
            self.catalogues.date(language, local),
            self.catalogues.moment(language, local, datetime.now(self._zone)),
        )

    @pass_context
    def _called(self, context: Context, user: User) -> str:
        """What a sentence calls another user: the name, with the title of respect of the language, or the login id."""
        if user.name:
            return self.catalogues.text(context["language"], "staff.called", who=user.name)
        return self.catalogues.text(context["language"], "staff.called_by_id", id=self._login_id(user.email))

    @pass_context
    def _moment(self, context: Context, time: datetime, *, dated: bool = False) -> str:
        """The moment inside a sentence; with `dated` always with its date, for what is read on another day."""
        language, local = context["language"], time.astimezone(self._zone)
        words = self.catalogues
        shown = words.date(language, local) if dated else words.until(language, local, datetime.now(self._zone))
        return words.zoned(language, shown, self._zone.key)

    @pass_context
    def _zone_name(self, context: Context) -> str:
        """The name of the zone that a page's times are in: once a page is enough."""
        return self.catalogues.zone(context["language"], self._zone.key)

    @pass_context
    def _duration(self, context: Context, seconds: int) -> str:
        return self.catalogues.duration(context["language"], seconds)


def _form_id() -> Markup:
    """The hidden field by which a form that is sent twice is known: random, and nothing is kept of it here."""
    return Markup('<input type="hidden" name="form_id" value="{}">').format(secrets.token_urlsafe(16))


class _ShippedLoader(FileSystemLoader):
    """Loads the shipped templates. All middlewares of a process share their compiled code."""

    def load(self, environment: Environment, name: str, globals: MutableMapping[str, Any] | None = None) -> Template:
        return environment.template_class.from_code(environment, _code(name), {} if globals is None else globals)


@lru_cache(maxsize=128)
def _code(name: str) -> CodeType:
    """The compiled code of a shipped template.

    The code holds nothing of one middleware: environments differ only in their values, which the code looks up by name
    when it runs.
    """
    loader = FileSystemLoader(_TEMPLATES)
    environment = _environment(loader)
    # The compiler only asks whether a filter takes the context. It never calls these filters.
    environment.filters.update(
        when=Renderer._when,
        duration=Renderer._duration,
        moment=Renderer._moment,
        login_id=AuthConfig.login_id,
        called=Renderer._called,
    )
    source, path, _ = loader.get_source(environment, name)
    made_from = (source.encode(), str(path).encode(), Path(__file__), Path(compiler.__file__))
    return cached(name, made_from, lambda: environment.compile(source, name, path))


def _environment(loader: BaseLoader) -> Environment:
    return Environment(
        loader=loader,
        # Every template is escaped except the plain text of a mail.
        autoescape=select_autoescape(disabled_extensions=("mail.txt",), default_for_string=True, default=True),
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _host_loader(templates: str | os.PathLike[str] | BaseLoader | None) -> BaseLoader | None:
    """The loader of the host app's files, if there are any."""
    if templates is None or isinstance(templates, BaseLoader):
        return templates
    if not Path(templates).is_dir():
        raise ConfigError("templates", f"{os.fspath(templates)!r} is not a directory", "Give the path of one.")
    return FileSystemLoader(templates)


def _source(env: Environment, loader: BaseLoader | None, name: str) -> str | None:
    """The content of one of the host app's files, or None if it does not exist."""
    if loader is None or not loader.has_source_access:
        return None
    try:
        return loader.get_source(env, name)[0]
    except TemplateNotFound:
        return None
    except UnicodeDecodeError:
        raise ConfigError("templates", f"{name} is not UTF-8", "Save it as UTF-8.") from None
