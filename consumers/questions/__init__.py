"""What is asked of a running system: searches, explanations, decisions, campaigns."""
