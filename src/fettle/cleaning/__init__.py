"""Rows in, mended rows out: each operation says which rows it changed or dropped, and why."""
