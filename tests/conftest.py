"""What all tests share.

``PERMLAB_REQUIRE`` names features (``root``) that this host must have: where it lacks one, a test that needs it fails
instead of being skipped, so that a complete run cannot be mistaken for one.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from lab.engine import host

FEATURES = {"root": os.geteuid() == 0 and "CAP_SYS_ADMIN" in host.capabilities()}
REASONS = {"root": "needs root: mounts, other users, containers called by uid 0"}

settings.register_profile("lab", deadline=None)
settings.load_profile("lab")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs_root: runs as root only")
    required = set(os.environ.get("PERMLAB_REQUIRE", "").replace(",", " ").split())
    lacking = sorted(name for name in required if not FEATURES.get(name, False))
    if lacking:
        raise pytest.UsageError(f"PERMLAB_REQUIRE: this host lacks {', '.join(lacking)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason=REASONS["root"])
    for item in items:
        if item.get_closest_marker("needs_root") and not FEATURES["root"]:
            item.add_marker(skip)
