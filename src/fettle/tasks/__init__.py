"""Tasks: one folder each, putting together the pieces that the rooms below ask for."""
