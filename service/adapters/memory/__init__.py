"""The embedded adapters: one process, no dependencies. The default, and complete for a single node."""
