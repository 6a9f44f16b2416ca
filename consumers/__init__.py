"""Everything that touches Kafka, Redis, files or HTTP."""
