"""Cells for the model, made without any file or container."""

from __future__ import annotations

from functools import partial
from typing import Any

from lab.codec import decode_settings
from lab.model.image import ImageConfig
from lab.oci.capabilities import BY_NUMBER, full_name
from lab.oci.spec import Context, build_config
from lab.oracle.eras import Era, era_of
from lab.oracle.predict import Setup, predict, set_up
from lab.oracle.prediction import NoPrediction, Predicted, Prediction
from lab.oracle.tree import Kind, Node, Nodes
from lab.oracle.world import mapped_tree

HOST = (1 << len(BY_NUMBER)) - 1
NONROOT = ImageConfig(user="65532", working_dir="/home/nonroot")
TREE: Nodes = {
    "/": Node(kind=Kind.DIRECTORY, mode=0o755),
    "/home": Node(kind=Kind.DIRECTORY, mode=0o755),
    "/home/nonroot": Node(kind=Kind.DIRECTORY, uid=65532, gid=65532, mode=0o700),
    "/etc": Node(kind=Kind.DIRECTORY, mode=0o755),
    "/etc/passwd": Node(),
}
"""distroless/static:nonroot, as far as anything here depends on it."""

RC9, RC10, RC92 = "runc@1.0.0-rc9", "runc@1.0.0-rc10", "runc@1.0.0-rc92"
RC93, RC93_DEBIAN, RC94 = "runc@1.0.0-rc93", "runc@1.0.0-rc93+debian11", "runc@1.0.0-rc94"
NEW, CRUN_OLD, CRUN = "runc@1.5.1", "crun@0.17", "crun@1.8.1"


def era(runtime: str) -> Era:
    found = era_of(runtime, {})
    assert isinstance(found, Era)
    return found


def config_of(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings with the usual steps, and config.json for them."""
    data = {"process": {"steps": ["id", "pwd"]}, **settings}
    data["process"] = {"steps": ["id", "pwd"], **data["process"]}
    decoded = decode_settings(data, where="a test")
    dropped = {full_name(name) for name in decoded.caller.drop_capabilities}
    held = tuple(name for name in (full_name(one) for one in BY_NUMBER) if name not in dropped)
    context = Context(caller_capabilities=held, rootless=(1001, 1001) if decoded.caller.rootless else None)
    return data, build_config(NONROOT, decoded, context)


def predicted_config(runtime: str, config: dict[str, Any], settings: dict[str, Any], tree: Nodes = TREE) -> Predicted:
    setup = set_up(config, decode_settings(settings, where="a test"), partial(mapped_tree, tree), HOST)
    return predict(setup, era(runtime)) if isinstance(setup, Setup) else setup


def predicted(runtime: str, tree: Nodes = TREE, **settings: Any) -> Predicted:
    """What the model says of a cell with these settings (as a scenario writes them)."""
    data, config = config_of(settings)
    return predicted_config(runtime, config, data, tree)


def verdict(runtime: str, tree: Nodes = TREE, **settings: Any) -> str:
    return str(known(runtime, tree, **settings))


def known(runtime: str, tree: Nodes = TREE, **settings: Any) -> Prediction:
    found = predicted(runtime, tree, **settings)
    assert isinstance(found, Prediction), found
    return found


def unknown(runtime: str, tree: Nodes = TREE, **settings: Any) -> str:
    found = predicted(runtime, tree, **settings)
    assert isinstance(found, NoPrediction), found
    return found.reason
