"""One file for each family of operations, and the table of their names."""
