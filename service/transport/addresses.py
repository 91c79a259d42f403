"""Where a request comes from, as far as proxies can be trusted."""

from sanic import Request


def client_address(request: Request, trusted_proxies: int) -> str:
    """The address of the client, with `trusted_proxies` proxies of ours in front of this server.

    Each proxy appends the address that it was reached from to `X-Forwarded-For`; what stands further left was
    written by the client and says nothing. With no proxy the header is not looked at.
    """
    seen = [part.strip() for value in request.headers.getall("x-forwarded-for", []) for part in value.split(",")]
    hops: list[str] = [str(request.conn_info.client_ip) if request.conn_info else "", *reversed(seen)]
    return hops[min(trusted_proxies, len(hops) - 1)]
