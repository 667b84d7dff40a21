"""The config.json that a failing cell comes down to, whichever engine ran it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.engine.trees import read_text
from lab.model.image import Image
from lab.model.record import Record, Run
from lab.model.settings import Settings
from lab.oci.spec import Context, build_config
from lab.oci.users import UserNotFound


def config_of(run: Run, record: Record, settings: Settings, image: Image) -> dict[str, Any]:
    """The stored config.json; for an engine that stores what it was asked instead, the one that this stands for.

    Empty where the image does not have the user: then no process was configured at all.
    """
    stored: dict[str, Any] = json.loads(run.configs.get(record.provenance.config) or "{}")
    if "process" in stored:
        return stored
    root = Path(image.rootfs)
    accounts = Context(passwd=read_text(root, "/etc/passwd"), group=read_text(root, "/etc/group"))
    try:
        return build_config(image.config, settings, accounts)
    except UserNotFound:
        return {}
