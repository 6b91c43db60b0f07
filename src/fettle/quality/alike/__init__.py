"""Which texts are alike: by their characters, or by vectors of their meaning."""
