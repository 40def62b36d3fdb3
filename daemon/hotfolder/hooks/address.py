"""A hook's address: the event posted as JSON, signed, for a limited time. Redirects are not followed.

The signature is ``X-Hotfolder-Signature: sha256=<hex>``, the HMAC-SHA256 (RFC 2104) of the body's bytes by the hook's
secret. The body holds the delivery's id and time, so that a receiver can tell a repeat.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hotfolder.config import Hook
from hotfolder.hooks.answer import Answer
from hotfolder.index.outbox import Delivery
from hotfolder.version import VERSION

if TYPE_CHECKING:
    from urllib3 import PoolManager
    from urllib3.response import BaseHTTPResponse

ANSWER_MOST = 64_000
"""Bytes of an answer that are read."""


def signature(secret: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@functools.cache
def _pool() -> PoolManager:
    import urllib3  # late: only daemons with such a hook pay for it

    return urllib3.PoolManager(num_pools=16, maxsize=1, retries=False)


def deliver(hook: Hook, delivery: Delivery, abort: threading.Event) -> Answer:
    """Post to the hook's address once; it ends by its time alone."""
    tries, timeout = delivery.tries, hook.timeout
    return post(hook.url or "", delivery.event, delivery.delivery, delivery.body, tries, timeout, hook.secret)


def goal(hook: Hook) -> str:
    """Its address, as far as it may be shown."""
    return place(hook.url or "")


def post(url: str, event: str, delivery: str, body: str, tries: int, timeout: float, secret: str | None) -> Answer:
    """Post it once. Raises nothing that a receiver can cause."""
    import urllib3

    raw = body.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"hotfolder/{VERSION}",
        "X-Hotfolder-Event": event,
        "X-Hotfolder-Delivery": delivery,
        "X-Hotfolder-Try": str(tries + 1),
    }
    if secret is not None:
        headers["X-Hotfolder-Signature"] = signature(secret, raw)
    deadline = time.monotonic() + timeout
    try:
        answer = _pool().request(
            "POST",
            url,
            body=raw,
            headers=headers,
            redirect=False,
            preload_content=False,
            timeout=urllib3.Timeout(total=timeout),
        )
        try:
            output = _read(answer, deadline)
        finally:
            answer.close()
    except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        return Answer(f"{place(url)}: {_why(error)}")
    if 200 <= answer.status < 300:
        return Answer(None, output)
    more = "; redirects are not followed" if 300 <= answer.status < 400 else ""
    return Answer(f"{place(url)} answered {answer.status}{more}", output)


def place(url: str) -> str:
    """What of an address may be shown: its path and query are often secrets."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def _read(answer: BaseHTTPResponse, deadline: float) -> bytes:
    """As much of the answer as is kept; one that drips ends with its time."""
    kept = bytearray()
    while len(kept) < ANSWER_MOST and time.monotonic() < deadline:
        chunk = answer.read1(min(4096, ANSWER_MOST - len(kept)), decode_content=False)
        if not chunk:
            break
        kept += chunk
    return bytes(kept)


def _why(error: Exception) -> str:
    import urllib3

    match error:
        case urllib3.exceptions.SSLError():
            return "its certificate is not trusted, or it speaks no TLS"
        case urllib3.exceptions.NameResolutionError():
            return "its name is not known"
        case urllib3.exceptions.NewConnectionError():  # is one of urllib3's timeouts, too
            return "no connection"
        case urllib3.exceptions.TimeoutError():
            return "no answer in time"
    return type(error).__name__
