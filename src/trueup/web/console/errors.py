"""What went wrong, as a page: what, why, and what to do."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from litestar import MediaType, Request, Response
from markupsafe import Markup

from trueup.web.api.problems import Problem
from trueup.web.console.render import render
from trueup.web.console.visit import csrf_field, visitor
from trueup.web.site import site_of

_HEADINGS = {
    400: "This cannot be read",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    413: "Too much at once",
    429: "Busy",
    500: "Something broke",
    503: "The database cannot be reached",
    504: "How this ended is not known",
}
_AGAIN = (
    "Go back and send the same form once more: under its key it happens once, and the page then shows how it ended."
)
_FIXES = {
    "http.not_found": "Check the address, or look it up in one of the lists.",
    "http.method_not_allowed": "Go back and use the page's own forms.",
    "server.busy": _AGAIN,
    "server.unknown_end": _AGAIN,
    "server.database": "Wait a moment and load the page again; forms can be sent again, they have one effect.",
    "server.fault": f"{_AGAIN} If it happens again, report the reference below.",
}
_SHOWN_REFERENCE = 500


def show_error(request: Request[Any, Any, Any], problem: Problem) -> Response[Any]:
    """Show a problem to a person at the console."""
    session = visitor(request)
    rule = problem.type.rpartition(":")[2]
    values = {
        "title": _HEADINGS.get(problem.status, "This did not work"), "section": "", "outcome": None, "refusal": None,
        "who": session.actor if session else None, "csrf_field": csrf_field(session.csrf) if session else Markup(""),
        "now": site_of(request).now(), "status": problem.status, "why": problem.detail, "rule": rule,
        "todo": _FIXES.get(rule, problem.fix),
        "reference": problem.instance if problem.status >= _SHOWN_REFERENCE else "",
        "offers": session is not None and problem.status == HTTPStatus.FORBIDDEN,
    }  # fmt: skip
    html = render("error.html", values)
    headers = {"cache-control": "no-store"}
    return Response(html, status_code=problem.status, media_type=MediaType.HTML, headers=headers)
