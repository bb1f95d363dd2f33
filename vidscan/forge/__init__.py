"""Self-made forgeries with exact masks, for training and demonstration; scanning never imports this."""
