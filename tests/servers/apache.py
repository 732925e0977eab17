"""A private Apache httpd, of Debian's package `apache2-bin`."""

import os
import signal

from tests.servers.packages import get_program
from tests.servers.proxy import Proxy

MODULES = "/usr/lib/apache2/modules"
LOADED = ("mpm_event", "authz_core", "rewrite", "proxy", "proxy_http", "headers", "unique_id")

MAIN = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/apache.pid
Mutex file:{folder} default
ErrorLog {folder}/error.log
{modules}
{user}
Listen 127.0.0.1:{port}
LogFormat "%h %t \\"%r\\" %>s %b" common
CustomLog {folder}/access.log common
<VirtualHost *:{port}>
{host}
</VirtualHost>
"""
USER = "User www-data\nGroup www-data"


class Apache(Proxy):
    """An Apache with one virtual host."""

    name = "apache"
    reload_signal = signal.SIGUSR1

    def configure(self, host: str) -> None:
        """What stands in the virtual host."""
        modules = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in LOADED)
        user = USER if os.geteuid() == 0 else ""  # as root it would refuse to serve
        text = MAIN.format(folder=self.folder, modules=modules, user=user, port=self.port, host=host)
        self.configuration.write_text(text)

    def command(self) -> list[str]:
        return [get_program("apache2"), "-f", str(self.configuration), "-DFOREGROUND"]
