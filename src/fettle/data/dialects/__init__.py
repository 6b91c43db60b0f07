"""The ways to write an example: how the fields of one row become a record."""
