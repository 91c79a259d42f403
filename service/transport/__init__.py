"""Sanic, Engine.IO, Socket.IO, HTTP: what carries bytes to the core and back."""
