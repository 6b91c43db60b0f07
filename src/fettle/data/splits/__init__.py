"""Rows get a part, in whole groups."""
