"""Who may see the page, from where, with which devices and senses."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable

from tests.helpers import Daemon, Place

Run = Callable[[Place], Daemon]


def test_what_the_page_is_made_of(place: Place, run: Run) -> None:
    daemon = run(place)

    def ask(path: str, **headers: str) -> tuple[int, dict[str, str]]:
        request = urllib.request.Request(f"http://127.0.0.1:{place.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers)

    for path, kind in {"/": "text/html", "/page/style.css": "text/css", "/page/main.js": "text/javascript"}.items():
        status, headers = ask(path)
        assert status == 200
        assert headers["content-type"].startswith(kind)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert ask(path, **{"If-None-Match": headers["etag"]})[0] == 304
        assert ask(path, **{"If-None-Match": '"another"'})[0] == 200
    for path in ("/page/nothing.js", "/page/..%2fapp.py", "/page/%2e%2e/app.py", "/page/../app.py"):
        assert ask(path)[0] == 404
    assert b"innerHTML" not in b"".join(
        daemon.get(f"/page/{name}.js") for name in ("dom", "gallery", "detail", "failures", "main", "upload")
    )
