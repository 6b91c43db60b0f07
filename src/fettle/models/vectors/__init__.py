"""Bases that are a table of word vectors: read from files or learned from texts, in a form that is tuned like any."""
