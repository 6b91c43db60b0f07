"""The task `text`."""
