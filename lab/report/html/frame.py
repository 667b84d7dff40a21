"""Pages that need nothing from outside: style and script stand in the page, and its policy allows nothing else.

Every page of the lab extends ``frame.html.j2`` (blocks ``title``, ``main`` and ``after``) and is made by
:func:`render_page`. The Content Security Policy names the style and the script by their sha256, so that a text that
became markup by mistake could still not act; Trusted Types take the same means from the script itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lab.report.escape import escape_text

PACKAGE = "lab.report.html"


def render_page(template: str, *, package: str = PACKAGE, scripts: Sequence[str] = (), **values: object) -> str:
    """A whole page. ``package`` holds ``templates/``; templates of this package are found from everywhere.

    ``scripts`` names files of ``<package>/script/``; they share one scope, in that order.
    """
    style = resource(PACKAGE, "style.css")
    script = "".join(resource(package, f"script/{name}") for name in scripts)
    if script:
        script = f'"use strict";\n{script}'
    return (
        _environment(package)
        .get_template(template)
        .render(
            style=Markup(style),  # noqa: S704  # a file of this package
            script=Markup(script),  # noqa: S704  # the same
            policy=_policy(style, script),
            **values,
        )
    )


@cache
def resource(package: str, name: str) -> str:
    """The text of a file that ships with the package."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def json_block(data: object) -> Markup:
    r"""Data for ``<script type="application/json">``.

    All ASCII, with every ``<`` written as ``\u003c``: no text can end the block, open a comment in it, or hide in it.
    """
    return Markup(json.dumps(data, separators=(",", ":")).replace("<", r"\u003c"))  # noqa: S704  # escaped right here


@cache
def _environment(package: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(PACKAGE)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = escape_text
    return environment


def _policy(style: str, script: str) -> str:
    allowed = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": _hash(script) if script else "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
