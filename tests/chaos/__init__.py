"""Faults of the network and attacks by clients, against the real server, each beside a call that goes on."""
