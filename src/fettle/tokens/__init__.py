"""Records become examples, and examples become batches."""
