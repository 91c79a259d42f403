"""An Engine.IO v4 server: python-socketio's transport, on Sanic's routes and picows' frames.

`packets` and `session` know the protocol and do no I/O. `websocket` is RFC 6455 on picows, `polling` is HTTP on
Sanic, `connection` joins a session to the one or the other, `server` keeps them all.

Sections that the docstrings name are those of the Engine.IO protocol, revision 4.
"""
