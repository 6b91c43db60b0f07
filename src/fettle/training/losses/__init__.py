"""Losses: pure functions from what a model computes to what is to become small."""
