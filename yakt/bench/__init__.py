"""How fast it is: a load generator that speaks the line protocol, and the loop of three nodes without a kernel."""
