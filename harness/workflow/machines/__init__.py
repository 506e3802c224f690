"""Commands about the machines: `check`, `facts`, `trust`, `clean`, `ship`.

Comes in: an inventory. Goes out: an answer for each host, in the inventory's order. Each file is a command.
"""
