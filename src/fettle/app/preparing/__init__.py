"""A plan made ready: its rows as examples, and what the machine decides."""
