"""Where a person works: matched by a ROR id, or by the domain of their address."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlmodel import Session, col

from events_service.db.tables import Institution, InstitutionDomain
from events_service.reading.addresses import work_domains
from events_service.reading.institution_files import website_host

# A website's front page, perhaps in a language: what is below it belongs to a part of its institution.
_FRONT_PAGE = re.compile(r"/?(?:[a-z]{2}(?:[-_][a-z]{2})?/?)?(?:(?:index|home)(?:\.\w+)?/?)?", re.IGNORECASE)


class _Candidate(NamedTuple):
    id: int
    website: str | None


class Affiliations:
    """Looks institutions up for many people at once. `fetch` first what `by_ror` and `by_email` will be asked for."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rors: dict[str, int | None] = {}
        self._domains: dict[str, int | None] = {}

    def fetch(self, rors: Iterable[str], emails: Iterable[str]) -> None:
        """Read what is not known yet of these ROR ids and normalised addresses, in one query each."""
        wanted = {ror for ror in rors if ror and ror not in self._rors}
        if wanted:
            self._rors.update(dict.fromkeys(wanted))
            query = sa.select(col(Institution.ror), col(Institution.id)).where(col(Institution.ror).in_(wanted))
            self._rors.update({ror: id for ror, id in self._session.execute(query) if ror})
        hosts = {email.rpartition("@")[2] for email in emails} - self._domains.keys()
        if hosts:
            nearest = {host: list(work_domains(f"@{host}")) for host in hosts}
            candidates = self._candidates({domain for domains in nearest.values() for domain in domains})
            for host, domains in nearest.items():
                self._domains[host] = _chosen(domains, candidates)

    def by_ror(self, ror: str) -> int | None:
        """The number of the institution with that bare ROR id, or None if it was not imported."""
        return self._rors[ror]

    def by_email(self, email: str) -> int | None:
        """The number of the institution whose domain, or whose website's, the address is under; None if unsure."""
        return self._domains[email.rpartition("@")[2]]

    def _candidates(self, domains: set[str]) -> dict[str, list[_Candidate]]:
        found: dict[str, list[_Candidate]] = {}
        query = (
            sa.select(col(InstitutionDomain.domain), col(Institution.id), col(Institution.website))
            .join(Institution, col(Institution.id) == col(InstitutionDomain.institution_id))
            .where(col(Institution.status) == "active", col(InstitutionDomain.domain).in_(domains))
        )
        for domain, id, website in self._session.execute(query):
            found.setdefault(domain, []).append(_Candidate(id or 0, website))
        return found


def _chosen(domains: list[str], candidates: dict[str, list[_Candidate]]) -> int | None:
    """The institution of the nearest domain that has one; where several share it, the one whose front page it is."""
    for domain in domains:
        sharing = candidates.get(domain, [])
        if len(sharing) > 1:
            sharing = [one for one in sharing if _is_front_page(one.website, domain)]
            return sharing[0].id if len(sharing) == 1 else None
        if sharing:
            return sharing[0].id
    return None


def _is_front_page(website: str | None, domain: str) -> bool:
    if website is None or website_host(website) != domain:
        return False
    parts = urlsplit(website if "//" in website else f"//{website}")
    return not parts.query and _FRONT_PAGE.fullmatch(parts.path) is not None
