"""Base models: found, checked, opened in memory, adapted, and run over plain tensors."""
