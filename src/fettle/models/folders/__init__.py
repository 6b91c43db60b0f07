"""Folders that hold a model: found by name, fetched, and refused where they could run code."""
