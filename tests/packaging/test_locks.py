from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

LOCKS = ["runtime", "prod", "dev"]


def versions(text: str) -> dict[str, set[Version]]:
    """The versions of each package in a lock; more than one where they differ by platform or Python."""
    found: dict[str, set[Version]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", text, re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(Version(version))
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_meets_what_pyproject_asks_for(lock: str, repository: Path) -> None:
    pyproject = tomllib.loads((repository / "pyproject.toml").read_text())
    asked = [*pyproject["project"]["dependencies"], *pyproject["dependency-groups"]["build"]]
    extras = pyproject["project"]["optional-dependencies"]
    asked += {"runtime": [], "prod": extras["prod"], "dev": [*extras["prod"], *extras["dev"]]}[lock]
    locked = versions((repository / "requirements" / f"{lock}.lock").read_text())
    for requirement in map(Requirement, asked):
        found = locked[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version) for version in found), requirement


def test_testing_and_running_use_the_same_versions(repository: Path) -> None:
    runtime, prod, dev = (versions((repository / "requirements" / f"{lock}.lock").read_text()) for lock in LOCKS)
    assert {name: prod.get(name) for name in runtime} == runtime
    assert {name: dev.get(name) for name in prod} == prod


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_names_no_index(lock: str, repository: Path) -> None:
    text = (repository / "requirements" / f"{lock}.lock").read_text()
    assert re.search(r"://|--(extra-)?index|--find-links| @ ", text) is None
    pins = [block for block in re.split(r"\n(?=\S)", text) if "==" in block]
    assert len(pins) > 40
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []
