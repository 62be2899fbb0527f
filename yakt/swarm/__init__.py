"""`yakt swarm`: simulated brokers on a real cluster."""
