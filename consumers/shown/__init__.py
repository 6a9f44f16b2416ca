"""What the command shows of clusters, dead letters and bundles."""
