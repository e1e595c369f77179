"""What a mail server said, made fit to be kept."""

from __future__ import annotations

import re

# An address in angle brackets with all that stands beside it (RFC 5321 4.1.2: a route, a quoted local part), then a
# bare one. What was cut off after its @ is one too.
_APART = r"""\s<>"(),:;\[\]@"""
_ADDRESS = re.compile(
    rf"""<[^<>@]{{0,320}}@[^<>]{{0,320}}>|(?:"[^"]{{0,64}}"|(?<![^{_APART}])[^{_APART}]+)@[^\s<>"(),:;]*"""
)


def without_addresses(text: str) -> str:
    """The same words, every e-mail address in them replaced by `<address>`.

    Servers quote whom they refuse. What they said is kept beside a delivery, which outlives the person it went to.
    """
    return _ADDRESS.sub("<address>", text) if "@" in text else text
