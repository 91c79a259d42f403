"""Servers to set this one against."""
