"""Measurements of quality, each repeated by one command; they write their page in docs/."""
