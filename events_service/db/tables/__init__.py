"""The tables, one file a noun. They do not validate: what comes from outside passes a model of its own first."""

from events_service.db.tables.calendars import EventObject, Feed, FeedContent
from events_service.db.tables.campaigns import Campaign, CampaignStep, Delivery, MessageContent
from events_service.db.tables.events import Attendee, AttendeeReply, Event, EventChange, EventSession, Waiver
from events_service.db.tables.intake import Intake, MailboxPoll
from events_service.db.tables.outcomes import Outcome, SurveyAnswer, SurveyResponse
from events_service.db.tables.people import (
    Institution,
    InstitutionDomain,
    InstitutionTarget,
    Person,
    Suppression,
)
from events_service.db.tables.programme import ProgrammeRevision, ReviewRecord
from events_service.db.tables.service import Heartbeat

__all__ = [
    "Attendee",
    "AttendeeReply",
    "Campaign",
    "CampaignStep",
    "Delivery",
    "Event",
    "EventChange",
    "EventObject",
    "EventSession",
    "Feed",
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
    "ReviewRecord",
    "Suppression",
    "SurveyAnswer",
    "SurveyResponse",
    "Waiver",
]
