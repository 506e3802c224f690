"""Commands about the hosts: `check`, `facts`, `trust`, `clean`, `ship`.

Input: an inventory. Output: an answer for each host, in the inventory's order. Each module implements one command.
"""
