"""One file from an HTTP address to the disk. The only place that knows httpx, whose errors end here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .failure import SourceError

__all__ = ["Progress", "download"]

Progress = Callable[[str, int, "int | None"], None]
"""Called as ``progress(what, bytes_done, bytes_in_total_or_None)``, from the thread that fetches."""


def download(
    url: str,
    to: Path,
    *,
    max_bytes: int,
    end_must_be_known: bool,
    timeout_s: float,
    on_bytes: Callable[[int, int | None], None],
) -> None:
    """Stream ``url`` into the file ``to``, following redirects.

    ``timeout_s`` is the longest silence that is borne, not the longest download. With ``end_must_be_known`` a server
    that does not announce how long its answer is gets refused, because a cut answer would look like a whole one.
    Proxies and certificates come from the environment as usual (HTTPS_PROXY, SSL_CERT_FILE).

    Raises SourceError with a one-line reason; ``to`` may then hold part of the answer.
    """
    import httpx  # 80 ms that only a fetch pays

    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=httpx.Timeout(timeout_s)) as response:
            if response.status_code != httpx.codes.OK:
                raise SourceError(f"HTTP {response.status_code} {response.reason_phrase}")
            if url.startswith("https:") and response.url.scheme != "https":
                raise SourceError(f"redirected from https to {response.url.scheme}")
            length = response.headers.get("content-length", "")
            if end_must_be_known and not length and "transfer-encoding" not in response.headers:
                raise SourceError("the server does not say how long the file is, so a cut file could not be told")
            total = int(length) if length.isdecimal() else None
            with to.open("wb") as file:
                written = 0
                for chunk in response.iter_bytes():
                    written += len(chunk)
                    if written > max_bytes:
                        raise SourceError(f"longer than the {max_bytes} bytes that are expected at most")
                    file.write(chunk)
                    on_bytes(response.num_bytes_downloaded, total)
    except httpx.TimeoutException as error:
        raise SourceError(f"no answer for {timeout_s:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceError(str(error) or type(error).__name__) from error
    except (ImportError, ValueError) as error:  # httpx reads the proxy settings and may find them unusable
        raise SourceError(f"cannot connect: {error}") from error
