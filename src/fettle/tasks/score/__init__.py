"""The task `score`."""
