"""The OpenAPI 3.1 document of the middleware's own routes, made from the routes, the interfaces and the problems."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from nipo_auth_mw._web import interface
from nipo_auth_mw._web.context import View, WebContext
from nipo_auth_mw._web.problems import PROBLEMS
from nipo_auth_mw._web.route import Route
from nipo_auth_mw._web.routes import ROUTES

JSON, FORM, HTML, PROBLEM = (
    "application/json",
    "application/x-www-form-urlencoded",
    "text/html",
    "application/problem+json",
)
Schema = dict[str, Any]

_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    type(None): {"type": "null"},
    Any: {},
}
_SEGMENTS = {
    "id": "the id of an account",
    "name": "the name of a file",
    "token": "the secret of a link from a mail",
}
_REFUSAL = "A refusal. `code` says which; the documentation lists the codes."
_CODES_OF = {
    status: sorted(code for code, kind in PROBLEMS.items() if status in {kind.status, *kind.details.values()})
    for status in sorted({one for kind in PROBLEMS.values() for one in (kind.status, *kind.details.values())})
}
"""The codes that come with each status."""


def document(web: WebContext) -> Schema:
    """The document for the routes that these settings and stores offer.

    It holds nothing that the settings keep secret, and no version of the package: any visitor may read it.
    """
    schemas: dict[str, Schema] = {"Problem": _problem()}
    paths: dict[str, Schema] = {}
    for route in ROUTES:
        if route.offered(web.services):
            path = "/" + re.sub(r"<(\w+)>", r"{\1}", route.path)
            paths[path] = {method.lower(): _operation(route, method, view, schemas) for method, view in _views(route)}
    cookie = {"type": "apiKey", "in": "cookie", "name": web.session_cookie.name}
    return {
        "openapi": "3.1.0",
        "info": {"title": web.config.site_name or "Sign-in", "version": "1"},
        "servers": [{"url": web.config.base_url + web.config.prefix}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"Refused": _refused()} | {f"Refused{one}": _refused(one) for one in _CODES_OF},
            "securitySchemes": {"session": cookie},
        },
    }


def _views(route: Route) -> Iterable[tuple[str, View]]:
    """The methods of a route and their views."""
    return route.views.items()


def _operation(route: Route, method: str, view: View, schemas: dict[str, Schema]) -> Schema:
    """One method of one route."""
    declared = interface.interface_of(view)
    sentences = re.split(r"(?<=\.) ", " ".join((view.__doc__ or "").split()))
    names = re.findall(r"<(\w+)>", route.path)
    parameters = [_parameter("path", name, _SEGMENTS[name], required=True) for name in names]
    if method == "GET":
        parameters += [_parameter("query", name, interface.FIELDS[name]) for name in declared.fields]
    words = re.split(r"\W+", f"{method.lower()} {route.path}".replace("<", "by "))
    operation: Schema = {
        "operationId": "_".join(filter(None, words)),
        "summary": sentences[0],
        "tags": [route.path.partition("/")[0]],
        "responses": _responses(route, method, declared.gives, schemas),
    }
    if parameters:
        operation["parameters"] = parameters
    if method == "POST":
        operation["requestBody"] = _body(declared.fields)
    if route.needs_user:
        operation["security"] = [{"session": []}]
    return operation


def _parameter(place: str, name: str, meaning: str, *, required: bool = False) -> Schema:
    """A segment of the path, or a field of the query. The text of a field has one line."""
    schema: Schema = {"type": "string"}
    if required:
        schema |= {"minLength": 1, "pattern": "^[^/?#]+$"}
    return {"name": name, "in": place, "required": required, "description": meaning, "schema": schema}


def _body(fields: Iterable[str]) -> Schema:
    """The body of a POST: a form, where a check box is text, or a JSON object."""
    names = tuple(fields)

    def properties(flag: str) -> Schema:
        kinds = {name: flag if name in interface.FLAGS else "string" for name in names}
        return {name: {"type": kind, "description": interface.FIELDS[name]} for name, kind in kinds.items()}

    return {
        "content": {
            JSON: {"schema": {"type": "object", "properties": properties("boolean")}},
            FORM: {"schema": {"type": "object", "properties": properties("string")}},
        }
    }


def _responses(route: Route, method: str, gives: Mapping[str, Any] | None, schemas: dict[str, Schema]) -> Schema:
    """The answers of an operation: JSON for a program, a page or a redirect for a browser, and the refusals."""
    content: Schema = {} if gives is None else {JSON: {"schema": _object(gives, schemas)}}
    if route.page or method == "POST":
        content[HTML] = {}
    answers: Schema = {"200": {"description": "Done.", **({"content": content} if content else {})}}
    if route.page or method == "POST":
        answers["303"] = {"description": "The page that a browser goes on to.", "headers": {"Location": _text()}}
    refused = {400, 405, 503}
    refused |= {403, 409, 413, 415, 422, 429} if method == "POST" else set()
    refused |= {401, 403} if route.needs_user or route.path == "login" else set()
    refused |= {404} if "<" in route.path or route.role else set()
    refused |= {410} if route.mailed else set()
    answers |= {str(status): {"$ref": f"#/components/responses/Refused{status}"} for status in sorted(refused)}
    return answers | {"default": {"$ref": "#/components/responses/Refused"}}


def _refused(status: int | None = None) -> Schema:
    """The refusals with this status, or all: problem+json for a program, a page for a browser."""
    schema: Schema = {"$ref": "#/components/schemas/Problem"}
    if status is not None:
        codes = {"properties": {"status": {"const": status}, "code": {"enum": _CODES_OF[status]}}}
        schema = {"allOf": [schema, codes]}
    answer: Schema = {
        "description": _REFUSAL if status is None else f"Refused: {', '.join(_CODES_OF[status])}.",
        "content": {PROBLEM: {"schema": schema}, HTML: {}},
    }
    if status in (None, 429, 503, 401):
        answer["headers"] = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}
    return answer


def _text() -> Schema:
    """A header that holds text."""
    return {"schema": {"type": "string"}}


def _problem() -> Schema:
    """A refusal (RFC 9457)."""
    return {
        "type": "object",
        "description": "problem details (RFC 9457); a lock has `retry_after`, a refused password `reason` and `advice`",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"enum": [*_CODES_OF]},
            "detail": {"type": "string"},
            "code": {"enum": sorted(PROBLEMS)},
            "retry_after": {"type": "integer", "description": "seconds to wait"},
            "reason": {"type": "string"},
            "advice": {"type": "array", "items": {"type": "string"}},
        },
    }


def _object(keys: Mapping[str, Any], schemas: dict[str, Schema]) -> Schema:
    """The schema of a JSON object with these keys."""
    required = [name for name, kind in keys.items() if get_origin(kind) is not NotRequired]
    return {
        "type": "object",
        "required": required,
        "properties": {name: _schema(kind, schemas) for name, kind in keys.items()},
    }


def _schema(kind: Any, schemas: dict[str, Schema]) -> Schema:
    """The schema of a Python type. Each TypedDict is a schema of its own, by its name. Raises KeyError for another."""
    if is_typeddict(kind):
        name = kind.__name__.removesuffix("Data")
        if name not in schemas:
            schemas[name] = _object(get_type_hints(kind), schemas) | {"description": kind.__doc__}
        return {"$ref": f"#/components/schemas/{name}"}
    origin, inner = get_origin(kind), get_args(kind)
    if origin is NotRequired:
        return _schema(inner[0], schemas)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(one, schemas) for one in inner]}
    if origin is list:
        return {"type": "array", "items": _schema(inner[0], schemas)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(inner[1], schemas)}
    return dict(_PLAIN[kind])
