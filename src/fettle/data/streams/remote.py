"""Files on other machines, and standard input: fetched once into a spool, within a limit, then read like any other.

HTTPS goes through the standard library; stores (S3, Google, Azure and their like) through fsspec, whose backends are
installed by who needs them. What a server answers is data: no redirect leaves encryption, no chain of file systems is
built from an address.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import fsspec

from fettle.data.streams.packed import MAX_UNPACKED_BYTES
from fettle.data.streams.source import BLOCK_BYTES, Source, Spool
from fettle.errors import RequestError

MAX_FETCHED_BYTES = MAX_UNPACKED_BYTES
TIMEOUT_SECONDS = 60
STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "oci", "hdfs", "webhdfs", "sftp", "memory")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_GLOB_MARKS = "*?["


def is_address(written: str) -> bool:
    """Whether a word names a place on another machine and no path.

    >>> is_address("s3://bucket/a.jsonl"), is_address("C:\\\\data"), is_address("data/a.jsonl")
    (True, False, False)
    """
    return "://" in written and len(written.partition("://")[0]) > 1


def sources_at(address: str) -> list[Source]:
    """What lies at an address: one file; all files below it where it is a folder, or all that a pattern matches."""
    scheme = address.partition("://")[0].lower()
    if scheme in ("http", "https"):
        _check_encrypted(address)
        return [Source(address, Spool(partial(_fetch, address)).open)]
    if scheme not in STORES or "::" in address:
        raise RequestError(
            f"no way is known to read {scheme}:// addresses",
            where=address,
            expected=f"https://, or one of: {', '.join(f'{store}://' for store in STORES if store != 'memory')}",
            attempt="fetch the file first",
        )
    return _in_store(scheme, address)


def standard_input() -> Source:
    """What is piped in, under the name `stdin`."""
    if sys.stdin is None or sys.stdin.isatty():
        raise RequestError("nothing is piped in", where="-", expected="bytes on standard input", attempt="cat FILE |")
    return Source("stdin", Spool(partial(_copy_within_limit, sys.stdin.buffer, "stdin")).open)


def _in_store(scheme: str, address: str) -> list[Source]:
    def ask(question: Callable[[], Any]) -> Any:
        try:
            return question()
        except ImportError as error:
            raise RequestError(
                f"what reads {scheme}:// addresses is not installed: {error}",
                where=address,
                expected="the backend of fsspec for it",
                attempt=_INSTALLS.get(scheme, "pip install fsspec"),
            ) from error
        except RequestError:
            raise
        except Exception as error:
            # Backends raise whatever their own clients do; they share no family.
            raise RequestError(
                f"it cannot be reached: {error or type(error).__name__}",
                where=address,
                expected="an address that this machine may read",
                attempt="look at the address, the network and the credentials",
            ) from error

    system, path = ask(lambda: fsspec.url_to_fs(address))
    if any(mark in path for mark in _GLOB_MARKS):
        found = ask(lambda: system.glob(path, detail=True))
    elif ask(lambda: system.isdir(path)):
        found = ask(lambda: system.find(path, detail=True))
    else:
        found = {path: {}}
    if not found:
        raise RequestError("nothing is found there", where=address, expected="at least one file")

    def fetch(name: str, where: str, target: BinaryIO) -> None:
        with ask(lambda: system.open(name, "rb")) as stream:
            _copy_within_limit(stream, where, target, ask)

    sources = []
    for name, details in sorted(found.items()):
        if details.get("type", "file") == "file":
            where = address if name == path else system.unstrip_protocol(name)
            sources.append(Source(where, Spool(partial(fetch, name, where)).open, details.get("size")))
    return sources


_INSTALLS = {
    "s3": "pip install s3fs",
    "s3a": "pip install s3fs",
    "gs": "pip install gcsfs",
    "gcs": "pip install gcsfs",
    "az": "pip install adlfs",
    "abfs": "pip install adlfs",
    "abfss": "pip install adlfs",
    "hf": "pip install huggingface_hub",
    "oci": "pip install ocifs",
    "sftp": "pip install paramiko",
    "webhdfs": "pip install requests",
}


class _StayEncrypted(urllib.request.HTTPRedirectHandler):
    """Follow redirects, though never to where the answer could be changed on its way."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> Any:
        """See where a redirect leads before it is followed."""
        leads_to = headers.get("location") or headers.get("uri") or ""
        _check_encrypted(urljoin(req.full_url, leads_to))
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _check_encrypted(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS):
        return
    raise RequestError(
        f"{parts.scheme}:// is not read from other machines, since anyone on the way can change what it brings",
        where=address,
        expected="https://",
        attempt=address.replace(f"{parts.scheme}://", "https://", 1) if parts.scheme == "http" else "",
    )


def _fetch(address: str, target: BinaryIO) -> None:
    opener = urllib.request.build_opener(_StayEncrypted())
    try:
        with opener.open(address, timeout=TIMEOUT_SECONDS) as answer:
            stated = answer.headers.get("Content-Length")
            copied = _copy_within_limit(answer, address, target)
            if stated is not None and stated.isdigit() and copied < int(stated):
                raise HTTPException(f"{copied:,} of {int(stated):,} bytes came")
    except urllib.error.HTTPError as error:
        with error:
            raise _unreached(address, f"the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _unreached(address, str(error.reason)) from error
    except (HTTPException, TimeoutError, ConnectionError) as error:
        raise _unreached(address, str(error) or type(error).__name__) from error


def _unreached(address: str, why: str) -> RequestError:
    return RequestError(
        f"it cannot be fetched: {why}",
        where=address,
        expected="an address that this machine may read",
        attempt="look at the address and the network, or fetch the file first",
    )


def _copy_within_limit(
    stream: Any, where: str, target: BinaryIO, ask: Callable[[Callable[[], Any]], Any] = lambda question: question()
) -> int:
    copied = 0
    while block := ask(lambda: stream.read(BLOCK_BYTES)):
        copied += len(block)
        if copied > MAX_FETCHED_BYTES:
            raise RequestError(
                f"it is larger than {MAX_FETCHED_BYTES // 1_000_000_000} GB",
                where=where,
                expected="less in one file",
                attempt="divide it into several files",
            )
        target.write(block)
    return copied
