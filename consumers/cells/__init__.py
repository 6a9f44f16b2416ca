"""A cell: its log folded into micro-clusters, evidence, decisions and flags, and the one owner who does it."""
