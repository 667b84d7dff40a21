"""Where runtime binaries come from: one module per provider, each with an ``obtain`` of the same shape."""
