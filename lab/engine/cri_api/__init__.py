"""Messages of the Kubernetes CRI, generated from ``cri.proto``."""
