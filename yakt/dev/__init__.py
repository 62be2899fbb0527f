"""`yakt dev`: a whole cluster on this machine, to play with: processes, a live feed, and commands typed at it."""
