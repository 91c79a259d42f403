"""Dashboards, recording rules and alerts as Python that takes every metric from the catalogue, and what it makes."""
