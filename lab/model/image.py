"""Images: how they are named and what the lab keeps of a provisioned one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The part of an image-spec configuration that decides about permissions.

    Field for field image-spec's ``config`` object: ``User`` (``user[:group]``, names or numbers), ``WorkingDir``,
    ``Env`` (``NAME=value``), ``Entrypoint``, ``Cmd``.
    """

    user: str = ""
    working_dir: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A provisioned image: an unpacked root file system and its configuration.

    ``rootfs`` is the directory, never written after provisioning; ``digest`` is ``sha256:…`` over its canonical
    archive (see ``lab.provision.rootfs``), the same wherever and whenever it was unpacked; images that differ in their
    configuration only share it. ``origin`` says where it
    came from; ``squashed`` lists what an unprivileged unpacking could not keep (owners, device nodes), else empty.
    ``tree`` lists its files with owners and modes (see ``lab.oracle.mtree``), so that a stored run can do without them.
    """

    name: str
    rootfs: str
    digest: str
    config: ImageConfig
    origin: str
    squashed: tuple[str, ...] = field(default=())
    tree: str = ""

    @property
    def id(self) -> str:
        """``sha256:…`` over files and configuration: what a record names the image by.

        As image-spec's ImageID, which is the digest of a configuration that names the files' digests.
        """
        whole = json.dumps([self.digest, astuple(self.config)], separators=(",", ":"))
        return f"sha256:{hashlib.sha256(whole.encode(errors='surrogatepass')).hexdigest()}"
