"""The commands: each module holds one, a few of one kind, or a group, and says in ``COMMANDS`` how they are added.

To add a command, add a file; docs/contributing/command.md shows one. There is no table to edit.
"""
