"""One seed, many nodes: the product's own core on a simulated clock, network and disk, under faults, with checkers."""
