"""The OpenAPI document, against the code: routes, fields, and the shape of each answer in JSON."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys

import pytest

from nipo_auth_mw._web import interface
from nipo_auth_mw._web.problems import PROBLEMS
from nipo_auth_mw._web.routes import ROUTES
from tests.kit import PASSWORD, middleware, person
from tests.security.tools import ask, signed_in

MODULES = sorted({view.__module__ for route in ROUTES for view in route.views.values()})
JSON = "application/json"


def described(auth):
    answer = ask(auth, path="/-/auth/openapi.json")
    assert (answer.status, answer.get("Content-Type")) == (200, JSON)
    return json.loads(answer.body)


def operations(document):
    return {(path, method): one for path, all in document["paths"].items() for method, one in all.items()}


def fits(value, schema, document):
    """Whether a value has this schema; the part of JSON Schema that the document uses."""
    if ref := schema.get("$ref"):
        return fits(value, document["components"]["schemas"][ref.rpartition("/")[2]], document)
    if "anyOf" in schema:
        return any(fits(value, one, document) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kinds = {"string": str, "boolean": bool, "integer": int, "null": type(None), "array": list, "object": dict}
    if "type" in schema and type(value) is not kinds[schema["type"]]:
        return False
    if isinstance(value, list):
        return all(fits(one, schema.get("items", {}), document) for one in value)
    if isinstance(value, dict):
        rest = schema.get("additionalProperties", {})
        known = schema.get("properties", {})
        return set(schema.get("required", ())) <= set(value) and all(
            fits(one, known.get(name, rest), document) for name, one in value.items()
        )
    return True


def test_every_route_and_method_is_described_once():
    document = described(middleware())
    paths = {f"/{route.path}".replace("<", "{").replace(">", "}"): route for route in ROUTES}
    ours = {(path, method.lower()) for path, route in paths.items() for method in route.views}
    assert set(operations(document)) == ours
    names = [one["operationId"] for one in operations(document).values()]
    assert len(set(names)) == len(names)
    assert set(document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == set(PROBLEMS)


def test_what_the_settings_and_stores_take_away_is_not_described():
    document = described(middleware(languages=["en"]))
    assert "/language" not in document["paths"]
    assert document["servers"] == [{"url": "http://localhost/-/auth"}]


def reads(module):
    """The names of fields that a module of views reads, by the calls that read them."""
    readers = {"text", "flag", "given_flag"}
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        match node:
            case ast.Call(
                func=ast.Attribute(attr=name, value=ast.Name("request")), args=[ast.Constant(value=field), *_]
            ):
                if name in readers:
                    yield field
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="query" | "fields")), args=[given, *_]):
                if isinstance(given, ast.Constant):
                    yield given.value


@pytest.mark.parametrize("module", MODULES)
def test_a_view_declares_each_field_that_its_module_reads_and_no_other(module):
    """Declare it: @takes("email", …) above the view; a new name goes into _web/interface.py's FIELDS."""
    views = [view for route in ROUTES for view in route.views.values() if view.__module__ == module]
    declared = {name for view in views for name in interface.interface_of(view).fields}
    # What brings a page back to where it was, and is no field of a program's.
    assert set(reads(module)) - {"changed"} <= declared
    # A module may share names with another one, such as those that lead back to a list.
    source = "".join(inspect.getsource(sys.modules[name]) for name in MODULES)
    body = "".join(line for line in source.splitlines(True) if not line.startswith(("@takes", "    *(")))
    assert {name for name in declared if f'"{name}"' not in body} <= ({"next"} if ".wanted" in body else set())


def test_no_field_is_explained_that_no_view_takes():
    taken = {name for route in ROUTES for view in route.views.values() for name in interface.interface_of(view).fields}
    assert taken == set(interface.FIELDS)
    with pytest.raises(KeyError):
        interface.takes("no_such_field")


def test_a_field_that_a_view_reads_as_a_boolean_is_declared_as_one():
    source = "".join(inspect.getsource(sys.modules[name]) for name in MODULES)
    assert set(re.findall(r'flag\("(\w+)"\)', source)) <= interface.FLAGS <= set(interface.FIELDS)


@pytest.fixture(scope="module")
def site():
    auth = middleware()
    person(auth, email="boss@example.com", role="admin")
    return auth, signed_in(auth, "boss@example.com"), described(auth)


def asked(site, method, path, **more):
    auth, cookie, _ = site
    return ask(auth, method.upper(), f"/-/auth{path}", cookie=cookie, HTTP_ACCEPT=JSON, **more)


def test_every_get_has_the_shape_that_is_described(site):
    auth, _, document = site
    person(auth)
    seen = 0
    for (path, method), one in operations(document).items():
        schema = one["responses"]["200"].get("content", {}).get(JSON, {}).get("schema")
        if method == "get" and schema is not None and "{token}" not in path:
            answer = asked(site, method, path.replace("{id}", "2"))
            assert answer.status == 200, path
            assert fits(json.loads(answer.body), schema, document), path
            assert not schema["properties"] or not fits({}, schema, document)
            seen += 1
    assert seen >= 7


SENT = {
    "/staff/create": {"email": "new@example.com", "password": PASSWORD, "role": "staff", "name": "New"},
    "/staff/bulk": {"emails": "a@example.com\nb@example.com"},
    "/staff/{id}/active": {"active": False},
    "/staff/{id}/profile": {"name": "Another"},
    "/staff/{id}/role": {"role": "admin"},
    "/staff/{id}/unlock": {},
    "/account/confirm": {"password": PASSWORD},
    "/account/profile": {"language": "ja"},
    "/forgot": {"email": "boss@example.com"},
    "/language": {"lang": "ja"},
    "/login": {"email": "boss@example.com", "password": PASSWORD},
    "/logout": {},
}


def test_every_post_has_the_shape_that_is_described(site):
    auth, _, document = site
    id = person(auth, email="changed@example.com").id
    for path, data in SENT.items():
        one = document["paths"][path]["post"]
        answer = asked(site, "post", path.replace("{id}", id), data=data)
        assert answer.status == 200, (path, answer.text)
        assert fits(json.loads(answer.body), one["responses"]["200"]["content"][JSON]["schema"], document), path
        assert set(data) <= set(one["requestBody"]["content"][JSON]["schema"]["properties"])


def test_a_refusal_has_the_shape_of_a_problem(site):
    _, _, document = site
    problem = document["components"]["schemas"]["Problem"]
    for path, data in (("/login", {}), ("/staff/create", {"password": "short"}), ("/language", {"lang": "xx"})):
        answer = ask(site[0], "POST", f"/-/auth{path}", data=data, cookie=signed_in(site[0], "boss@example.com"))
        assert answer.get("Content-Type") == "application/problem+json"
        assert fits(json.loads(answer.body), problem, document), path


def test_each_status_of_an_operation_names_its_codes(site):
    _, _, document = site
    refusals = document["components"]["responses"]
    for code, kind in PROBLEMS.items():
        for status in {kind.status, *kind.details.values()}:
            _, codes = refusals[f"Refused{status}"]["content"]["application/problem+json"]["schema"]["allOf"]
            assert code in codes["properties"]["code"]["enum"]
            assert codes["properties"]["status"] == {"const": status}
    for (path, _), one in operations(document).items():
        for status, answer in one["responses"].items():
            if "$ref" in answer and status != "default":
                assert answer["$ref"] == f"#/components/responses/Refused{status}", path


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/login", {"email": "boss@example.com", "password": "wrong"}),
        ("/staff/create", {"email": "boss@example.com", "password": PASSWORD}),
        ("/staff/{id}/role", {"role": "staff"}),
        ("/staff/999/role", {"role": "staff"}),
        ("/account/confirm", {"password": "wrong"}),
        ("/reset/nothing", {"password": PASSWORD}),
    ],
)
def test_a_refusal_comes_with_a_status_that_its_operation_names(path, data):
    auth = middleware()
    person(auth, email="boss@example.com", role="admin")
    cookie = signed_in(auth, "boss@example.com")
    answer = ask(auth, "POST", f"/-/auth{path.replace('{id}', '1')}", data=data, cookie=cookie, HTTP_ACCEPT=JSON)
    described_as = path.replace("999", "{id}").replace("nothing", "{token}")
    document = described(auth)
    found = document["paths"][described_as]["post"]["responses"][str(answer.status)]["$ref"].rpartition("/")[2]
    _, codes = document["components"]["responses"][found]["content"]["application/problem+json"]["schema"]["allOf"]
    assert answer.code in codes["properties"]["code"]["enum"]


def test_the_document_holds_no_secret_and_no_version(site):
    auth, _, document = site
    text = json.dumps(document)
    assert not any(secret in text for secret in auth.config.secrets)
    assert document["info"]["version"] == "1"


def test_a_route_costs_the_document_little(site):
    _, _, document = site
    assert len(json.dumps(document)) < 1700 * sum(len(path) for path in document["paths"].values())
