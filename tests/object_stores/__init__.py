"""Servers that speak what the clouds' object stores speak, for the tests."""
