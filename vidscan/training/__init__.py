"""Corpus, trainers and evaluation; scanning never imports this."""
