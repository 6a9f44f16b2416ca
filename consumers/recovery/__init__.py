"""A cell's state beyond Redis: snapshots, restoring, rebuilding, and comparing with the log."""
