"""The files of ``deploy/proxy`` installed in real servers, and servers behind them that say what they were asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.servers.apache import Apache
from tests.servers.nginx import Nginx
from tests.servers.processes import free_port
from tests.servers.proxy import Proxy

FILES = Path(__file__).parents[2] / "deploy" / "proxy"
MEGABYTE = 1_000_000
LARGE = 60 * MEGABYTE  # more than all sockets on the way hold


class Upstream(ThreadingHTTPServer):
    """A web server that says what it was asked: SynchWeb's PHP, or ourselves where it matters what arrives."""

    daemon_threads = True

    def __init__(self, name: str, port: int | None = None) -> None:
        super().__init__(("127.0.0.1", port or free_port()), _Handler)
        self.name = name
        self.connections = 0
        self.sent = 0  # bytes of large answers
        self.asked: list[dict[str, Any]] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_port


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        if "/large" in self.path:
            self._send_large()
            return
        asked = {"by": self.server.name, "path": self.path, "headers": dict(self.headers.items())}
        self.server.asked.append(asked)
        body = json.dumps(asked).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_large(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(LARGE))
        self.end_headers()
        for _ in range(LARGE // MEGABYTE):
            self.wfile.write(bytes(MEGABYTE))
            self.server.sent += MEGABYTE

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Installed:
    """A proxy with our files in it, as their comments say, in front of two servers."""

    def __init__(self, proxy: Proxy, php_port: int, our_port: int) -> None:
        self.proxy = proxy
        self._php, self._ours = php_port, our_port

    def install(self, *, taken_back: bool = False) -> None:
        """Write the configuration; the line that is ours is commented out to take everything back."""
        raise NotImplementedError

    def place(self, name: str) -> Path:
        """One of our files, where the facility would put it; only port and folder of logs are others."""
        text = (FILES / name).read_text()
        assert text.count("127.0.0.1:8000") <= 1
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{self._ours}").replace(
            "/var/log/nginx", str(self.proxy.folder)
        )
        path = self.proxy.folder / name
        path.write_text(text)
        return path


class InstalledNginx(Installed):
    """nginx in front of php-fpm, with the patterns and error pages that such a server has."""

    proxy: Nginx

    def install(self, *, taken_back: bool = False) -> None:
        ours = f"{'# ' if taken_back else ''}include {self.place('nginx.conf')};"
        server = f"""
            proxy_intercept_errors on;
            error_page 404 413 502 503 /error.html;
            location / {{ return 404 "nginx's own"; }}
            location /api/ {{ proxy_pass http://127.0.0.1:{self._php}; }}
            location ~ \\.(php|png)$ {{ proxy_pass http://127.0.0.1:{self._php}; }}
            {ours}
        """
        self.proxy.configure(http=f"include {self.place('nginx-upstream.conf')};", server=server)


class InstalledApache(Installed):
    """Apache, with the rewriting that sends SynchWeb's addresses to its index.php."""

    proxy: Apache

    def install(self, *, taken_back: bool = False) -> None:
        ours = f"{'# ' if taken_back else ''}Include {self.place('apache.conf')}"
        host = f"""
            ProxyErrorOverride On
            ErrorDocument 404 "Apache's own"
            {ours}
            RewriteEngine On
            RewriteRule "^/api/(.*)$" "http://127.0.0.1:{self._php}/api/$1" [P]
        """
        self.proxy.configure(host)
