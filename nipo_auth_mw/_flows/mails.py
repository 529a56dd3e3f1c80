"""What the outbox asks for: the answer to a visitor's request, and the record of a mail that was given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._flows.password_check import answer_lock
from nipo_auth_mw._flows.password_reset import answer_request
from nipo_auth_mw._mail.notifications import client_of
from nipo_auth_mw._services import Services
from nipo_auth_mw.models import QueuedMail

MAIL_FAILED = EventType("mail_failed", EventGroup.SYSTEM)
ACTOR = "outbox"

ANSWERS: Mapping[str, Callable[[Services, QueuedMail], None]] = {"reset": answer_request, "locked": answer_lock}


def serve(services: Services) -> None:
    """Let the outbox answer requests, and record the mails that it gives up."""

    def answer(request: QueuedMail) -> None:
        ANSWERS[request.kind](services, request)

    def report(mail: QueuedMail) -> None:
        email = mail.to if mail.user_id else services.log.masked(mail.to)
        details = {"mail": mail.kind, "reason": mail.reason, "tries": mail.tries}
        subject, client = mail.user_id or None, client_of(mail)
        services.log.record(MAIL_FAILED, subject=subject, email=email, client=client, actor=ACTOR, **details)

    services.outbox.serve(answer, report)
