"""Whole calls over raw websockets, made at a rate or as fast as the server allows, every message checked."""
