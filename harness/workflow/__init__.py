"""The commands as lists of stages; the only place that knows their order."""
