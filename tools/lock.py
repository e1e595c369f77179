"""Resolves the dependencies of pyproject.toml into requirements/*.lock, or checks that the locks are in step with it.

`make lock` runs it to write, `make check` runs it with `--check`, which needs no network: each lock's first line holds
the SHA-256 of what it was resolved from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
UV_VERSION = "0.13.9"
STAMP = "# made by `make lock` from pyproject.toml, sha256 "

RUNTIME = REQUIREMENTS / "runtime.lock"
PROD = REQUIREMENTS / "prod.lock"
DEV = REQUIREMENTS / "dev.lock"
EXTRAS: dict[Path, list[str]] = {
    RUNTIME: [],
    PROD: ["prod"],
    # Not pdf, which wants system libraries.
    DEV: ["prod", "dev"],
}


def source_digest() -> str:
    """SHA-256 of the parts of pyproject.toml that decide what is installed."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    parts = {
        "requires-python": project["requires-python"],
        "dependencies": project["dependencies"],
        "optional-dependencies": project["optional-dependencies"],
        "dependency-groups": pyproject["dependency-groups"],
        "extras": list(EXTRAS.values()),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def uv() -> str:
    """The path of uv: the environment's own, the system's, or one just installed into the environment."""
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if found:
        return found
    base = getattr(sys, "_base_executable", sys.executable)
    subprocess.run(
        [base, "-m", "pip", "--python", sys.executable, "install", "--quiet", f"uv=={UV_VERSION}"], check=True
    )
    return str(Path(sys.executable).parent / "uv")


def write(upgrade: bool) -> None:
    """Resolve every lock; versions already locked are kept unless `upgrade`."""
    tool, digest = uv(), source_digest()
    smaller: list[Path] = []
    for lock, extras in EXTRAS.items():
        arguments = [word for extra in extras for word in ("--extra", extra)]
        # Under the smaller locks, so that all agree on versions.
        arguments += [word for done in smaller for word in ("--constraints", str(done))]
        smaller.append(lock)
        subprocess.run(
            [
                tool,
                "pip",
                "compile",
                "pyproject.toml",
                "--group",
                "build",
                *arguments,
                "--universal",
                "--python-version",
                "3.11",
                "--generate-hashes",
                # A lock that every machine can use: nothing of this one's configuration or index goes into it.
                "--no-config",
                "--default-index",
                "https://pypi.org/simple",
                "--no-emit-index-url",
                "--no-emit-find-links",
                "--no-annotate",
                "--no-header",
                "--quiet",
                "--output-file",
                str(lock),
                *(["--upgrade"] if upgrade else []),
            ],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        lock.write_text(f"{STAMP}{digest}\n{lock.read_text(encoding='utf-8')}", encoding="utf-8")


def out_of_step() -> list[str]:
    """One line for each lock that was not resolved from pyproject.toml as it is now."""
    wanted = STAMP + source_digest()
    lines = []
    for lock in EXTRAS:
        name = lock.relative_to(ROOT)
        if not lock.exists():
            lines.append(f"{name} is missing; run `make lock`")
        elif lock.read_text(encoding="utf-8").partition("\n")[0] != wanted:
            lines.append(f"{name} was made from other dependencies than pyproject.toml names; run `make lock`")
    return lines


def main() -> int:
    """Write the locks, or with `--check` say which are out of step; exit 1 if any is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the locks are in step")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    arguments = parser.parse_args()
    if not arguments.check:
        write(arguments.upgrade)
        return 0
    lines = out_of_step()
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
