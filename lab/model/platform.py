"""Platform profiles: what a platform fills in of a container that says nothing itself.

A value of the axis ``platform`` stands for the profile's fragment of settings; what a cell's other axes say comes on
top of it. ``source`` is where the platform says so. Words that only one engine's interface has (``cri``) skip the cell
on the other engines, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

NAMESPACE_UID = 1000680000
"""First uid of an OpenShift namespace's range (annotation ``openshift.io/sa.scc.uid-range``), as an example."""

POD_IDS = {"container_id": 0, "host_id": 131072, "size": 65536}
"""One pod's ids: a kubelet gives each pod 65536 of them, from 65536 on (KEP-127)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A platform: what it does, its settings as a scenario file writes them, and who says so."""

    name: str
    meaning: str
    source: str
    fragment: Mapping[str, object]


_ALL = (
    Platform(
        name="docker-default",
        meaning="14 default capabilities, effective for root only",
        source="https://github.com/moby/moby/blob/v20.10.24/oci/oci.go",
        fragment={"process": {"capabilities": "docker"}},
    ),
    Platform(
        name="k8s-default",
        meaning="the same 14 capabilities, effective for every user; no seccomp profile",
        source="https://github.com/containerd/containerd/blob/v1.6.20/oci/spec.go",
        fragment={"process": {"capabilities": "cri"}},
    ),
    Platform(
        name="k8s-restricted",
        meaning="Pod Security `restricted`: runAsNonRoot, drop ALL, no privilege escalation, seccomp RuntimeDefault",
        source="https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted",
        fragment={
            "process": {"capabilities": "none", "no_new_privileges": True},
            "cri": {"run_as_non_root": True, "seccomp": "RuntimeDefault"},
        },
    ),
    Platform(
        name="openshift-restricted",
        meaning="SCC `restricted`: a uid of the namespace's range, gid 0, fsGroup, four capabilities dropped",
        source="https://github.com/openshift/cluster-kube-apiserver-operator/blob/master/bindata/bootkube/scc-manifests/0000_20_kube-apiserver-operator_00_scc-restricted.yaml",
        fragment={
            "process": {"user": str(NAMESPACE_UID), "capabilities": "cri"},
            "cri": {"cap_drop": ["KILL", "MKNOD", "SETUID", "SETGID"], "supplemental_groups": [NAMESPACE_UID]},
        },
    ),
    Platform(
        name="openshift-restricted-v2",
        meaning="SCC `restricted-v2`: the same uid, gid and fsGroup, and what Pod Security `restricted` asks for",
        source="https://github.com/openshift/cluster-kube-apiserver-operator/blob/master/bindata/bootkube/scc-manifests/0000_20_kube-apiserver-operator_00_scc-restricted-v2.yaml",
        fragment={
            "process": {"user": str(NAMESPACE_UID), "capabilities": "none", "no_new_privileges": True},
            "cri": {"seccomp": "RuntimeDefault", "supplemental_groups": [NAMESPACE_UID]},
        },
    ),
    Platform(
        name="k8s-userns",
        meaning="`hostUsers: false`: a user namespace of 65536 ids for the pod",
        source="https://kubernetes.io/docs/concepts/workloads/pods/user-namespaces/",
        fragment={
            "process": {"capabilities": "cri"},
            "linux": {"uid_mappings": [POD_IDS], "gid_mappings": [POD_IDS]},
        },
    ),
    Platform(
        name="podman-rootless",
        meaning="an ordinary user calls podman: uid 0 inside is that user",
        source="https://docs.podman.io/en/latest/markdown/podman.1.html#rootless-mode",
        fragment={"process": {"capabilities": "docker"}, "caller": {"rootless": True}},
    ),
)

PLATFORMS: Mapping[str, Platform] = MappingProxyType({platform.name: platform for platform in _ALL})
