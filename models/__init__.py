"""Networks and mathematics: encoders, fusion, micro-clusters, policies. Imports no client library."""
