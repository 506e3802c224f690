"""The loaders, one a module: ``make(context) -> Loader``."""
