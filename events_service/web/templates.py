"""The pages' templates: autoescaped, strict about what is missing, with one inline style sheet named by its hash."""

from __future__ import annotations

import base64
import hashlib
from email.utils import parseaddr
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from events_service.config import Settings, templates_dir


class Pages:
    """Renders the templates of `templates/pages/`. `style_hash` is the source that a CSP must allow for their style."""

    def __init__(self, settings: Settings) -> None:
        folder = templates_dir() / "pages"
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        style = (folder / "style.css").read_text(encoding="utf-8")
        self.style_hash = "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        sender, address = parseaddr(settings.resolved_mail_from)
        # The style sheet ships with us and holds nothing that anybody typed.
        self._environment.globals |= {"style": Markup(style), "sender": sender or address}  # noqa: S704
        self._environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]

    def page(self, template: str, /, status: int = 200, **values: Any) -> HTMLResponse:
        """The page of that template with these values."""
        return HTMLResponse(self._environment.get_template(f"{template}.html").render(values), status_code=status)
