"""Ways of tuning: which weights learn, what adapters begin with, and noise on what is read."""
