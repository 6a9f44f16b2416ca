"""Learning from a platform's own posts."""
