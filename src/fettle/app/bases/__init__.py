"""Bases that are made here, from rows or from a file, and kept in the workspace."""
