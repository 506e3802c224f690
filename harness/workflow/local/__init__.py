"""Commands that ask no host: `data`, `status`, `report`, `export`, `image`, and files for the user.

Each file is a command or a group of them.
"""
