"""Authentication that trusts everybody."""

from service.ports import Identity


class OpenAuthenticator:
    """`service.ports.Authenticator` that lets every socket in and leaves it to `user:join` to say who it is.

    It is the original server's behaviour.
    """

    async def authenticate(self, credentials: object) -> Identity:
        """See `service.ports.Authenticator.authenticate`."""
        return Identity()
