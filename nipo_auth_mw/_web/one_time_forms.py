"""The answer to a form that is sent twice: the second press shows or leads to what the first has shown or led to."""

from __future__ import annotations

from collections.abc import Callable

from werkzeug.wrappers import Response

from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows.outcomes import BUSY
from nipo_auth_mw._throttle.one_time_forms import Press
from nipo_auth_mw._web.body import BadRequest
from nipo_auth_mw._web.context import View, WebContext
from nipo_auth_mw._web.interface import interface_of
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.route import Route
from nipo_auth_mw.errors import HashingFailed

_LONGEST_ID = 64


def answer(
    web: WebContext, request: Request, route: Route, view: View, allowed: Callable[[View], Response]
) -> Response:
    """The answer of the view, which is called for the first press of a form alone, and by `allowed` if the sender may.

    Without script the browser shows the answer to the last press alone. So the second press of a form whose answer
    shows a password or a link once gets the same, for a minute and under the same checks. Any other second press gets a
    redirect and a flash message. A program sends no form id, and each of its requests counts. So does each form of a
    visitor: what sign-in gives is a cookie, and only the answer that arrives brings it.
    """
    found = _form(web, request, route)
    if found is None:
        return allowed(view)
    request.one_time_form = found
    name, forms = found[0], web.services.one_time_forms
    press = forms.begin(name)
    if press is Press.UNDERWAY:
        return web.answers.refuse(request, BUSY)
    if press is Press.DONE:
        return _again(web, request, route, view, allowed)
    try:
        response = allowed(view)
    except BaseException:
        forms.refuse(name)
        raise
    if response.status_code < 400:
        forms.succeed(name)
    else:
        forms.refuse(name)
    return response


def _form(web: WebContext, request: Request, route: Route) -> tuple[str, str] | None:
    """The name and the id of the form that was sent; None for a request that is none, and for a form that is not
    noted."""
    if request.method != "POST" or request.sends_json or not route.one_time:
        return None
    body = request.receive()
    if isinstance(body, BadRequest) or (route.confirmed_by and not request.flag(route.confirmed_by)):
        return None
    form_id = body.fields.get("form_id")
    if not isinstance(form_id, str) or not 0 < len(form_id) <= _LONGEST_ID:
        return None
    return web.services.one_time_forms.name(request.route, body.fields), form_id


def _again(
    web: WebContext, request: Request, route: Route, view: View, allowed: Callable[[View], Response]
) -> Response:
    """What the first press has shown, or the redirect to where it has led."""
    again = interface_of(view).again
    if again is None or request.wants_json:
        return _to_where_it_led(web, request, route)
    try:
        return allowed(lambda web, request: again(web, request) or _to_where_it_led(web, request, route))
    except (Busy, HashingFailed):
        # Whether a password is still the account's is not known now. The next press can show it.
        return web.answers.refuse(request, BUSY)


def _to_where_it_led(web: WebContext, request: Request, route: Route) -> Response:
    """The redirect to where the first press has led, with what is said there.

    A route without a message of its own has `again_<route>` of the catalogue, or `again`.
    """
    web.identify(request)
    if route.leads_to == "login":
        to, flash = web.after_link(request, None, route.flash)
        return web.answers.done(request, to, flash=flash)
    own, page = f"again_{'_'.join(route.words)}", route.leads_to or _page_above(web, request.route)
    flash = route.flash or (own if web.pages.flash(request.language, own) else "again")
    if route.needs_user and request.session is None:
        # The first press has renewed the session, and its answer with the cookie did not arrive.
        return web.answers.done(request, web.path(request, "login"), flash=flash)
    to = web.redirect_target(request, request.text("next"), default=web.path(request, page))
    return web.answers.done(request, to, flash=flash)


def _page_above(web: WebContext, path: str) -> str:
    """The nearest page above this path: of one account for its small pages. With none above, the user's own account."""
    above = path.rpartition("/")[0] or "account"
    return above if above == "account" or web.is_page(above) else _page_above(web, above)
