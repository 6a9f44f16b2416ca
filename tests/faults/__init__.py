"""Faults on purpose: a real Kafka, a real Redis, real processes, and a checker that reads everything afterwards."""
