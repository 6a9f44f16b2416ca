"""Training the encoders of a bundle; together with models.export the only place that imports torch."""
