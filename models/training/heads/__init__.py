"""Projection heads on frozen towers, trained on the posts of a platform."""
