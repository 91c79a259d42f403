"""Metrics, traces and logs of the signalling server: observers of its ports, which it knows nothing of.

`catalogue.py` declares every metric once; dashboards, rules and documentation are built from it.
"""
