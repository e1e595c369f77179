"""The tables, one file a noun. They do not validate: what comes from outside passes a model of its own first."""

from sqlmodel import SQLModel

from events_service.db.tables.calendars import EventObject, Feed, FeedBlock, FeedContent
from events_service.db.tables.campaigns import Campaign, CampaignStep, Delivery, MessageContent
from events_service.db.tables.events import (
    Attendee,
    AttendeeReply,
    AttendeeSession,
    Event,
    EventChange,
    EventSession,
    Waiver,
)
from events_service.db.tables.intake import Intake, MailboxPoll, Proposal
from events_service.db.tables.outcomes import Outcome, SurveyAnswer, SurveyResponse
from events_service.db.tables.people import (
    Institution,
    InstitutionDomain,
    InstitutionTarget,
    Person,
    Suppression,
)
from events_service.db.tables.programme import ProgrammeRevision, ReviewRecord
from events_service.db.tables.service import DataFolder, Heartbeat

__all__ = [
    "Attendee",
    "AttendeeReply",
    "AttendeeSession",
    "Campaign",
    "CampaignStep",
    "DataFolder",
    "Delivery",
    "Event",
    "EventChange",
    "EventObject",
    "EventSession",
    "Feed",
    "FeedBlock",
    "FeedContent",
    "Heartbeat",
    "Institution",
    "InstitutionDomain",
    "InstitutionTarget",
    "Intake",
    "MailboxPoll",
    "MessageContent",
    "Outcome",
    "Person",
    "ProgrammeRevision",
    "Proposal",
    "ReviewRecord",
    "Suppression",
    "SurveyAnswer",
    "SurveyResponse",
    "Waiver",
]

# A row's number is in keys, links and Message-IDs that outlive it, so none may ever be given again. PostgreSQL's
# sequences never do; SQLite gives the highest anew, once it is free, unless a table is told not to.
for _table in SQLModel.metadata.tables.values():
    if _table.autoincrement_column is not None:
        _table.dialect_kwargs["sqlite_autoincrement"] = True
