"""What `fettle data` can do with a version once it is there: check, clean, compare, export."""
