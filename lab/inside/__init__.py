"""Inside a running cell: its container held, and programs run in it as its process is."""
