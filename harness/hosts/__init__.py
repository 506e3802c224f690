"""How a host is reached, what it is, and whose it is just now."""
