"""Why a cell fails and what cures it: the fewest settings that make the failure, and changes that are really tried."""
