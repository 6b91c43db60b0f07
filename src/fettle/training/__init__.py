"""Batches become weights: one loop, exact, resumable to the bit."""
