"""The commands. Each module holds one command, several related ones or a group, and registers them in ``COMMANDS``.

To add a command, add a file; docs/contributing/command.md has an example. There is no table to edit.
"""
