"""The library surface: ``EventStream``, watchers and ``PollingState``."""
