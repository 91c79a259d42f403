"""Dashboards, recording rules and alerts: Python that takes every metric from the catalogue, and the files made of it."""
