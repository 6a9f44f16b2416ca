"""Kafka: reading and writing so that every record counts, positions and lag, topics, dead letters."""
