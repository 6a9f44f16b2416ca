"""The cells' state in Redis: keys, codecs, scripts, and the store."""
