"""A request's head: what is taken, and which ones a web page in somebody's browser may have sent.

A browser on a machine that reaches this port sends requests for any page it shows. So what names another origin is refused, and
so is a host that is not ours: a name that its owner lets point at this address would be of one origin with us (DNS rebinding).
What changes something (POST) needs a header besides that no page of another origin can have sent: a browser asks first, and
is refused. All that it says is in its query.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

MAX_QUERY_FIELDS = 16
_MAX_SHOWN = 100
_METHOD = re.compile(rb"[A-Z]{1,16}( |\Z)")
CHANGE_HEADER = b"x-paxosstore"
"""Whatever it says."""
_LOOKED_AT = (b"host", b"origin", b"sec-fetch-site", b"content-length", b"transfer-encoding", CHANGE_HEADER)


class Refused(Exception):
    """A request that gets no page; `suspicious` if the log should tell of it."""

    def __init__(self, status: HTTPStatus, text: str, *, suspicious: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.suspicious = suspicious


class Request(NamedTuple):
    path: str
    query: dict[str, str]
    head_only: bool
    """The answer has no body (HEAD)."""
    changes: bool = False
    """It may change something (POST)."""


def may_be_http(start: bytes) -> bool:
    """Whether a request can begin like this, as far as it is there."""
    return _METHOD.match(start[:17]) is not None


def parse(head: bytes, hosts: Collection[str]) -> Request:
    """The request in a head. `hosts` are the names, besides addresses and localhost, that this server has. Raises Refused."""
    first, *lines = head.split(b"\r\n")
    parts = first.split(b" ")
    if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
        raise Refused(HTTPStatus.BAD_REQUEST, "this is no HTTP/1 request")
    changes = parts[0] == b"POST"
    if not changes and parts[0] not in (b"GET", b"HEAD"):
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD, and POST for what changes something")
    headers = _headers(lines)
    _check_origin(headers, hosts)
    if changes:
        _check_change(headers)
    if not parts[1].startswith(b"/"):
        raise Refused(HTTPStatus.BAD_REQUEST, "this is no path")
    try:
        target = urlsplit(parts[1].decode("ascii"))
        query = dict(parse_qsl(target.query, max_num_fields=MAX_QUERY_FIELDS))
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "this is no path") from None
    return Request(target.path, query, parts[0] == b"HEAD", changes)


def _headers(lines: list[bytes]) -> dict[bytes, str]:
    """Those that matter here. Raises Refused if one of them is there twice."""
    found: dict[bytes, str] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        if name in _LOOKED_AT:
            if name in found:
                raise Refused(HTTPStatus.BAD_REQUEST, f"the header {name.decode()} is there twice")
            found[name] = value.strip().decode("latin-1")
    return found


def _check_origin(headers: dict[bytes, str], hosts: Collection[str]) -> None:
    host = headers.get(b"host", "")
    if host and not _is_own(_name(host), hosts):
        raise Refused(
            HTTPStatus.FORBIDDEN,
            f"the host {host[:_MAX_SHOWN]!r} is none of this node's names: ask by its address, or list the name in http.hosts",
            suspicious=True,
        )
    origin = headers.get(b"origin")
    if origin is not None and origin.lower() != f"http://{host}".lower():
        raise Refused(HTTPStatus.FORBIDDEN, f"a web page of {origin[:_MAX_SHOWN]!r} may not ask this node", suspicious=True)
    site = headers.get(b"sec-fetch-site", "none")
    if site not in ("none", "same-origin"):
        raise Refused(
            HTTPStatus.FORBIDDEN, f"a web page of another site may not ask this node ({site[:_MAX_SHOWN]!r})", suspicious=True
        )


def _check_change(headers: dict[bytes, str]) -> None:
    if CHANGE_HEADER not in headers:
        text = f"a change needs the header {CHANGE_HEADER.decode()}, which a web page could not send: use `paxosstore set`"
        raise Refused(HTTPStatus.FORBIDDEN, text, suspicious=True)
    if headers.get(b"content-length", "0") != "0" or b"transfer-encoding" in headers:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a request has no body here: all is in its query")


def _name(host: str) -> str:
    """The name in "name:port", "[v6]:port" or "name"."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".").lower()


def _is_own(name: str, hosts: Collection[str]) -> bool:
    if name == "localhost" or name in hosts:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
