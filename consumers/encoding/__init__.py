"""Posts on their way through the encoders: prepared, embedded, fused, in batches; and those that kill a worker."""
