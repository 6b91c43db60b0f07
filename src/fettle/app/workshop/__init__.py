"""What a user can do with examples: import, check, clean, split, compare, export. One file for each."""
