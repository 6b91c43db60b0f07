"""Runs: their folders, states and logs."""
