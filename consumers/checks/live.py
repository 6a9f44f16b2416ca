"""Is the worker on this machine alive? Asked of its own port, as the health check of a container does."""

from __future__ import annotations

import http.client
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING

from consumers.checks.findings import Finding

if TYPE_CHECKING:
    from consumers.settings import Http

LIVE_SECONDS = 5.0
LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what a worker listens on, and where that answers
SUBJECT = "live"


def check_live(settings: Http) -> Finding:
    """Ask `/livez` of the worker with these settings; no answer within five seconds is a bad one."""
    if not settings.port:
        return Finding(SUBJECT, "bad", "the worker's port is not known", "set SHOAL_HTTP__PORT, for both")
    host = LOCAL.get(settings.host, settings.host)
    with closing(http.client.HTTPConnection(host, settings.port, timeout=LIVE_SECONDS)) as connection:
        try:
            connection.request("GET", "/livez")
            answer = connection.getresponse()
            said = " ".join(answer.read(1000).decode(errors="replace").split())
        except (OSError, http.client.HTTPException) as error:
            what = f"{host}:{settings.port}: {str(error) or type(error).__name__}"
            return Finding(SUBJECT, "bad", what, "start a worker, or read the log of the one that should answer")
    if answer.status == HTTPStatus.OK:
        return Finding(SUBJECT, "good", said)
    return Finding(SUBJECT, "bad", said, "restart the worker")
