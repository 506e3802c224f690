"""Commands that contact no host: `data`, `status`, `report`, `export`, `image`, and files for the user.

Each module implements a command or a group of commands.
"""
