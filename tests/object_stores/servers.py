"""An S3, a Google and an Azure store as far as this machine can run one: over HTTP, in processes of their own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers import ROOT, Missing, free_port, started

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALLED = ROOT / "build" / "tools" / "object-stores"
"""Where `make object-stores` puts them."""

SCRIPT = Path(__file__).parent / "s3_server.py"
BUCKET = "snapshots"

AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The emulator's, which everybody knows."""

AZURE_VERSION = "2023-11-03"


@dataclass(frozen=True)
class ObjectStore:
    """A store with one empty bucket.

    Attributes:
        scheme: s3, gs or az.
        port: of its server.
        options: obstore's, as they stand in the settings.
        variables: the same, as the cloud's own tools name them.
    """

    scheme: str
    port: int
    options: dict[str, str]
    variables: dict[str, str]

    def location(self, folder: str, bucket: str = BUCKET) -> str:
        """A place in it."""
        return f"{self.scheme}://{bucket}/{folder}/"

    def behind(self, port: int) -> dict[str, str]:
        """The options, with another port that leads to the server."""
        return {name: value.replace(f":{self.port}", f":{port}") for name, value in self.options.items()}


@contextmanager
def object_store(scheme: str) -> Iterator[ObjectStore]:
    """A store of this kind.

    Raises:
        Missing: this machine has no server for it.
    """
    with {"s3": _s3, "gs": _google, "az": _azure}[scheme]() as store:
        yield store


@contextmanager
def _s3() -> Iterator[ObjectStore]:
    with _moto("checked") as (port, key, secret):
        endpoint = f"http://127.0.0.1:{port}"
        options = {
            "endpoint": endpoint,
            "allow_http": "true",
            "region": "us-east-1",
            "access_key_id": key,
            "secret_access_key": secret,
        }
        yield ObjectStore("s3", port, options, {f"AWS_{name.upper()}": value for name, value in options.items()})


@contextmanager
def _google() -> Iterator[ObjectStore]:
    with _moto("open") as (port, _, _):
        account = {"gcs_base_url": f"http://127.0.0.1:{port}", "disable_oauth": True}
        nobody = {"client_email": "", "private_key": "", "private_key_id": ""}
        options = {"service_account_key": json.dumps(account | nobody), "allow_http": "true"}
        yield ObjectStore("gs", port, options, {f"GOOGLE_{name.upper()}": value for name, value in options.items()})


@contextmanager
def _azure() -> Iterator[ObjectStore]:
    port = free_port()
    command = [
        _installed("node"), _installed("node_modules/azurite/dist/src/blob/main.js"),
        "--blobHost", "127.0.0.1", "--blobPort", str(port),
        "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry",
    ]  # fmt: skip
    with _running(command, port):
        _make_container(port, BUCKET)
        options = {
            "endpoint": f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}",
            "allow_http": "true",
            "account_name": AZURE_ACCOUNT,
            "account_key": AZURE_KEY,
        }
        names = {"account_name": "storage_account_name", "account_key": "storage_account_key"}
        variables = {f"AZURE_{names.get(name, name).upper()}": value for name, value in options.items()}
        yield ObjectStore("az", port, options, variables)


@contextmanager
def _moto(mode: str) -> Iterator[tuple[int, str, str]]:
    """Port, key and secret."""
    port = free_port()
    with _running([_installed("bin/python"), str(SCRIPT), str(port), mode], port) as log:
        key, secret = log.read_text().split("\n", 1)[0].split()
        yield port, key, secret


def _installed(path: str) -> str:
    found = INSTALLED / path
    if not found.exists():
        raise Missing("no servers for s3://, gs:// and az://: run make object-stores")
    return str(found)


@contextmanager
def _running(command: list[str], port: int) -> Iterator[Path]:
    """The server, once it takes connections; gives its log."""
    with tempfile.TemporaryDirectory(prefix="shoal-objects-") as folder:
        log = Path(folder) / "log"
        with started(command, log, lambda: _connects(port)):
            yield log


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _make_container(port: int, name: str) -> None:
    """Create a container: obstore cannot, so the request is signed here, as Azure's page "Shared Key" says."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": AZURE_VERSION}
    told = "".join(f"{header}:{value}\n" for header, value in headers.items())
    signed = "PUT" + "\n" * 12 + told + f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{name}\nrestype:container"
    digest = hmac.new(base64.b64decode(AZURE_KEY), signed.encode(), hashlib.sha256).digest()
    authorization = {"Authorization": f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"}
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("PUT", f"/{AZURE_ACCOUNT}/{name}?restype=container", headers=headers | authorization)
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()  # created
    connection.close()
