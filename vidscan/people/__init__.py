"""Enrolled people: how one person moves. What is learnt here never changes a label."""
