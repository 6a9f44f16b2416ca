"""Procedural images, sounds and captions, with the variants that people make of them."""
