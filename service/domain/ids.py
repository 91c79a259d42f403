"""The identities that the domain tells apart."""

from typing import NewType

UserId = NewType("UserId", str)
"""Who somebody is. Chosen by the application; opaque here; 1 to 128 characters (`service.protocol`)."""

SessionId = NewType("SessionId", str)
"""One joined socket of a user: the Socket.IO sid that the client knows as `socket.id`. Public, never the
Engine.IO sid, which is a bearer key."""

CallId = NewType("CallId", str)
"""One call: 128 random bits as 32 hexadecimal digits (contract, section 2: unguessable, unique per call).
The same 128 bits are the id of the call's trace."""
