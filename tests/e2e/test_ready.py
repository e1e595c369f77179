"""`/readyz` of a live web, while its database and its broker go away and come back, and its schema is not its own."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import sqlalchemy as sa

from events_service.db.schema import HEAD, open_database
from tests.faults.private import private_postgres, private_redis
from tests.processes import live

WELL = {"ready": True, "database": "ok", "schema": "ok", "broker": "ok"}


def ready(base: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"{base}/readyz", timeout=60) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_each_part_that_fails_is_named_until_it_is_back(tmp_path: Path) -> None:
    with private_postgres() as postgres, private_redis() as redis, postgres.database() as url:
        database = open_database(url)
        settings = {"database_url": url, "broker_url": redis.url}
        with live(tmp_path, "web", "--port", 0, **settings) as service:
            base = re.findall(r"http://[0-9.:]+", service.wait_for_line("serving http://"))[0]

            def says(status: int, **parts: str) -> None:
                want = WELL | parts | {"ready": status == 200}
                service.wait_for(lambda: ready(base) == (status, want), f"{status} {want}")

            says(200)
            redis.kill()
            says(503, broker="failed")
            redis.start()
            says(200)
            postgres.kill()
            says(503, database="failed", schema="failed")
            postgres.start()
            says(200)
            with database.write() as session:
                session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
            says(503, schema="failed")
            with database.write() as session:
                session.execute(sa.text("UPDATE alembic_version SET version_num = :head"), {"head": HEAD})
            says(200)
            assert service.stop() == 0
            assert "Traceback" not in service.said
        database.dispose()
