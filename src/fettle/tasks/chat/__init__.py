"""The task `chat`."""
