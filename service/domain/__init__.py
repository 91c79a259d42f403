"""The pure core: events in, effects out. No clock, no chance, no I/O."""
