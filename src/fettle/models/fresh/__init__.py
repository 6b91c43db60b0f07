"""Bases made from nothing but texts: a vocabulary learned from them, and the shape of a model to go with it."""
