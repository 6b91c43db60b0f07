"""Rows become findings: what is wrong with examples, which rows show it, and the command that mends it."""
