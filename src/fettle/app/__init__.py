"""What a user can do, one function each. Every face stands on these."""
