"""The readiness of this process, for balancers and orchestrators."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request


@takes(gives={"status": str, "store": bool, "counters": bool, "mail": bool})
def show(web: WebContext, _request: Request) -> Response:
    """Say whether the store, the counters and the outbox work: 200, or 503 if no user could sign in.

    Any visitor may ask, so the answer holds no count and no address.
    """
    works = web.health.ask()
    ready = works["store"] and works["counters"]
    status = "unavailable" if not ready else "ok" if works["mail"] else "degraded"
    return web.answers.data({"status": status, **works}, 200 if ready else 503)
