"""What the bridge costs, measured from outside and beside its peers: one command for each figure."""
