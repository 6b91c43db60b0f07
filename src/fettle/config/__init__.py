"""Settings: read, merged, explained. Nothing here is heavy."""
