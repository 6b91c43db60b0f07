"""Measurements of fettle beside its peers. Nothing here is needed to use it."""
