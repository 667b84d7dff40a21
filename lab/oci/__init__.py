"""Image config + cell → runtime spec. The field names of runtime-spec (camelCase) live here only. Pure."""
