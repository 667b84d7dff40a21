"""What all tests share.

``PERMLAB_REQUIRE`` names features (``root``, ``browser``, ``docker``, ``podman``, ``cri``) that this host must have:
where it lacks one, a test that needs it fails instead of being skipped, so that a complete run cannot be mistaken for
one.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from lab.engine import host

FEATURES = {"root": os.geteuid() == 0 and "CAP_SYS_ADMIN" in host.capabilities()}
FETCHED = {"browser", "docker", "podman", "cri"}
"""Features that show only when the first test needs them: its fixture asks ``demanded`` before it skips."""
REASONS = {"root": "needs root: mounts, other users, containers called by uid 0"}

settings.register_profile("lab", deadline=None)
settings.load_profile("lab")


@pytest.fixture(scope="session")
def demanded() -> set[str]:
    """The features that this host must have."""
    return _demanded()


def _demanded() -> set[str]:
    return set(os.environ.get("PERMLAB_REQUIRE", "").replace(",", " ").split())


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs_root: runs as root only")
    lacking = sorted(name for name in _demanded() - FETCHED if not FEATURES.get(name, False))
    if lacking:
        raise pytest.UsageError(f"PERMLAB_REQUIRE: this host lacks {', '.join(lacking)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason=REASONS["root"])
    for item in items:
        if item.get_closest_marker("needs_root") and not FEATURES["root"]:
            item.add_marker(skip)
