"""Enrolled people: how one person moves. What is learned here never changes a label."""
