"""A private nginx."""

import signal

from tests.servers.packages import get_program
from tests.servers.proxy import Proxy

MAIN = """\
daemon off;
pid nginx.pid;
worker_processes 2;
events {{ worker_connections 256; }}
http {{
    # In the server's folder, where those of the package are for its own service only.
    client_body_temp_path body_temp;
    proxy_temp_path proxy_temp;
    fastcgi_temp_path fastcgi_temp;
    uwsgi_temp_path uwsgi_temp;
    scgi_temp_path scgi_temp;
    access_log access.log;
{http}
    server {{
        listen 127.0.0.1:{port};
{server}
    }}
}}
"""


class Nginx(Proxy):
    """An nginx with one server block; its master becomes the package's user in its workers if it is root."""

    name = "nginx"
    reload_signal = signal.SIGHUP

    def configure(self, *, http: str = "", server: str = "") -> None:
        """What stands in the http block, and in the server block."""
        self.configuration.write_text(MAIN.format(http=http, server=server, port=self.port))

    def command(self) -> list[str]:
        return [get_program("nginx"), "-p", str(self.folder), "-c", str(self.configuration), "-e", "stderr"]
