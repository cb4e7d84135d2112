"""The costs of the bridge, measured from outside next to its peers: one command per benchmark."""
