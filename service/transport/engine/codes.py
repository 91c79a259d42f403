"""Close codes of websockets: those of RFC 6455, section 7.4.1, and from 4000 on our own."""

import enum


class CloseCode(enum.IntEnum):
    """Why the server closes a websocket."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    INVALID_TEXT = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    TOKEN_EXPIRED = 4001
    """The token has run out and no fresh one has come. Connect again with a new one."""
    SLOW_CONSUMER = 4008
    """The client does not read what it is sent. Reconnect and read faster."""
    PING_TIMEOUT = 4010
    """The client has not answered a ping in time."""
    FLOODING = 4029
    """The client goes on sending more events than it may. Connect again later, and send fewer."""
