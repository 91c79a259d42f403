"""Requests to other servers, bounded in time and size."""
