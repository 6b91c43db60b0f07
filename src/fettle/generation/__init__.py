"""Ids to ids, without gradient: scores of what might be said, and what the model says."""
