"""The rows of the API's table about people: appointments, delegations and contracts."""

from __future__ import annotations

from trueup.authority import people_read
from trueup.authority.appoint import AcceptAppointment, Appoint, EndAppointment
from trueup.authority.confirm import ConfirmAct, DeclineAct
from trueup.authority.delegate import Delegate, EndDelegation
from trueup.authority.employ import SetEmployment
from trueup.authority.pending_state import PendingAct
from trueup.authority.resign import ResignDeputy
from trueup.web.api.table import Listed, Read, Write, listed

WRITES: tuple[Write, ...] = (
    Write(method="POST", path="/v1/appointments", command=Appoint, created=""),
    Write(method="POST", path="/v1/appointments/{appointment}/accept", command=AcceptAppointment),
    Write(method="POST", path="/v1/appointments/{appointment}/end", command=EndAppointment),
    Write(method="POST", path="/v1/appointments/{appointment}/resign", command=ResignDeputy),
    Write(method="POST", path="/v1/delegations", command=Delegate, created=""),
    Write(method="POST", path="/v1/delegations/{delegation}/end", command=EndDelegation),
    Write(method="PUT", path="/v1/actors/{actor}/employment", command=SetEmployment),
    Write(method="POST", path="/v1/pending-acts/{act}/confirm", command=ConfirmAct),
    Write(method="POST", path="/v1/pending-acts/{act}/decline", command=DeclineAct),
)

READS: tuple[Read, ...] = (
    Read(
        path="/v1/appointments",
        summary="List open appointments: who holds, or is to hold, which role over what, and their deputies",
        query=people_read.PeopleQuery,
        returns=Listed[people_read.AppointmentDetail],
        answer=lambda connection, asked: listed(people_read.appointments(connection, asked.query, asked.now)),
    ),
    Read(
        path="/v1/delegations",
        summary="List open delegations: what is lent to whom until when",
        query=people_read.PeopleQuery,
        returns=Listed[people_read.DelegationDetail],
        answer=lambda connection, asked: listed(people_read.delegations(connection, asked.query, asked.now)),
    ),
    Read(
        path="/v1/pending-acts",
        summary="List acts beyond their asker's limit that wait for a second person",
        query=people_read.PeopleQuery,
        returns=Listed[PendingAct],
        answer=lambda connection, asked: listed(people_read.pending_acts(connection, asked.query)),
    ),
    Read(
        path="/v1/actors/{actor}/employment",
        summary="Get who employs a person, and when the contract ends",
        returns=people_read.EmploymentDetail,
        right="authority.read",
        answer=lambda connection, asked: people_read.employment(connection, asked.path["actor"], asked.now),
    ),
)
