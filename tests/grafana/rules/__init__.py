"""The alerts under promtool: series that make each fire, and series that must not."""
