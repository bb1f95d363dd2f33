"""What every HTML page of vidscan shares: templates, a strict security policy, pictures inside the file.

A page is one file that loads nothing: no network, no fonts, no frames. Its Content-Security-Policy allows the
page's own style sheet and script by their hashes and nothing else, so even text that slipped through escaping
could not run.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidscan import __version__
from vidscan.outputs import Replacement
from vidscan.report.words import count, escape, score_digits, timecode

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from markupsafe import Markup

_JPEG_QUALITY = 82
_HOME = "vidscan.report"


@dataclass(frozen=True, slots=True)
class Look:
    """What sets a page apart from a report.

    Attributes
    ----------
    package
        Where its own files lie under ``templates/``; what it lacks is taken from ``vidscan.report``.
    styles
        Style sheets, joined in this order.
    allowed
        What the page may do beyond showing itself: directives of a Content-Security-Policy.
    referrer
        The page's Referrer-Policy.
    """

    package: str = _HOME
    styles: tuple[str, ...] = ("page.css",)
    allowed: str = "form-action 'none'"
    referrer: str = "no-referrer"


REPORT = Look()


def write_page(out: Path, template: str, script: str, context: dict[str, Any]) -> None:
    """Render a page into ``out``, piece by piece and atomically; its folder is made where it is missing.

    Parameters
    ----------
    out
        The file; an old one stays until the new one is whole.
    template, script
        File names in ``templates/``.
    context
        What the template names. Every string in it is escaped; only ``Markup`` is taken as it is.
    """
    with (
        Replacement(out, parents=True) as part,
        part.open("w", encoding="utf-8", newline="\n") as stream,
    ):
        for piece in _template(template, REPORT).generate(**_shared(script, REPORT), **context):
            stream.write(piece)


def render_page(template: str, script: str, context: dict[str, Any], look: Look = REPORT) -> str:
    """The same page as text."""
    return _template(template, look).render(**_shared(script, look), **context)


def json_block(text: str) -> Markup:
    """JSON for a ``<script type="application/json">``: nothing in it can end the element."""
    from markupsafe import Markup

    for char in "<>&":  # in JSON these occur only within strings
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def picture_uri(image: NDArray[np.uint8], longest: int) -> str:
    """An (H, W, 3) RGB picture as a JPEG data URI, shrunk so that no side exceeds ``longest`` pixels."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


@functools.cache
def security_policy(script: str, look: Look = REPORT) -> str:
    """The Content-Security-Policy of a page: its own style and script by their hashes, and little else."""
    style, code = _style(look), _asset(script, look.package)
    return (
        f"default-src 'none'; script-src '{_sha256(code)}'; style-src '{_sha256(style)}'; "
        f"img-src data:; base-uri 'none'; {look.allowed}"
    )


def _shared(script: str, look: Look) -> dict[str, Any]:
    from markupsafe import Markup

    style, code = _style(look), _asset(script, look.package)
    policy = security_policy(script, look)
    return {
        "style": Markup(style),
        "script": Markup(code),
        "policy": policy,
        "referrer": look.referrer,
        "version": __version__,
    }


def _style(look: Look) -> str:
    return "".join(_asset(name, look.package) for name in look.styles)


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


@functools.cache
def _asset(name: str, package: str) -> str:
    own = files(package) / "templates" / name
    return (own if own.is_file() else files(_HOME) / "templates" / name).read_text("utf-8")


def _template(name: str, look: Look) -> Template:
    return _environment(look.package).get_template(name)


@functools.cache
def _environment(package: str) -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(functools.partial(_asset, package=package)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Text direction marks and control characters in a file name could make a page read otherwise.
        finalize=visible,
    )
    environment.filters.update(timecode=timecode, size=size, score_digits=score_digits)
    environment.globals.update(count=count)
    return environment


def visible(value: Any) -> Any:
    """A string with everything invisible escaped; anything else as it is."""
    if not isinstance(value, str) or value.isprintable() or hasattr(value, "__html__"):
        return value
    return escape(value)


def size(bytes: int) -> str:
    """A file's size for people: ``999 bytes``, ``1.5 MB``; 1 MB is a million bytes."""
    if bytes < 1000:
        return count(bytes, "byte")
    scaled, units = bytes / 1000, ["kB", "MB", "GB", "TB"]
    while scaled >= 999.5 and len(units) > 1:
        scaled /= 1000
        del units[0]
    return f"{scaled:.1f} {units[0]}" if scaled < 99.5 else f"{scaled:.0f} {units[0]}"
