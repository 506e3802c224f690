"""A session: one ``harness run`` and its folder. Plan, runner, records and events on disk, resume."""
