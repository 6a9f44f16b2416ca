"""Telling moderators of flags: grouping them, when to tell, in which words, and sending."""
