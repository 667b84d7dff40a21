"""The tree of errors that permlab raises on purpose.

::

    LabError                    anything the lab can name; never raised bare
    ├── InputError              exit 2: what the user wrote is wrong (scenario, option, expression)
    ├── HostError               exit 3: this host cannot do it (missing privilege, full disk, missing tool)
    ├── ProvisionError          exit 3: a runtime, image or the probe could not be made ready
    │   ├── SourceUnreachable   the source did not answer; another provider may still serve
    │   ├── DigestMismatch      bytes differ from their pinned or recorded digest
    │   ├── BuildFailed         a compiler or package tool ended with an error
    │   └── ArchiveError        an archive is unreadable or reaches outside its root
    ├── StoreError              exit 3: a stored run cannot be read or written
    └── EngineError             exit 3: an engine broke; the cell it carried becomes `errored`

Every error says three things: ``brief`` (what happened, one line), ``details`` (where and with what words, may be
empty) and ``resolution`` (what to do now). ``exit_code`` is what the command line ends with.
"""

from __future__ import annotations

from typing import ClassVar


class LabError(Exception):
    """Base of all errors with a message meant for the user."""

    exit_code: ClassVar[int] = 3

    def __init__(self, brief: str, *, details: str = "", resolution: str = "") -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.resolution = resolution

    def __str__(self) -> str:
        lines = [self.brief]
        if self.details:
            lines.append(self.details)
        if self.resolution:
            lines.append(f"→ {self.resolution}")
        return "\n".join(lines)


class InputError(LabError):
    """What the user wrote cannot be used; ``details`` lists every fault with file and path."""

    exit_code = 2


class HostError(LabError):
    """This host cannot do what was asked; not a finding about any container."""


class ProvisionError(LabError):
    """A runtime, an image or the probe could not be made ready."""


class SourceUnreachable(ProvisionError):
    """A source of artefacts did not answer or does not serve the name."""


class DigestMismatch(ProvisionError):
    """Bytes differ from the digest that was published, pinned or recorded."""


class BuildFailed(ProvisionError):
    """A compiler or a package tool ended with an error; ``details`` holds the end of its output."""


class ArchiveError(ProvisionError):
    """An archive is unreadable, or an entry of it would reach outside its root."""


class StoreError(LabError):
    """A stored run cannot be read or written."""


class EngineError(LabError):
    """An engine (not the container in it) broke."""
