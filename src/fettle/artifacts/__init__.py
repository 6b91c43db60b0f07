"""Weights become bundles, and bundles become model folders for use elsewhere."""
