"""Asking the web: GET requests with time-outs and redirects, and what goes wrong with the network as a `Failure`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from genept.downloads.address import check_address, is_address, plain
from genept.downloads.answer import check_status
from genept.downloads.retry import BY_HAND, GO_ON, Failure, persist

CONNECT_TIMEOUT = 20.0
READ_TIMEOUT = 60.0  # seconds without a byte
MAX_REDIRECTS = 10
MAX_JSON = 16 << 20


def read_json(url: str) -> Any:
    """Ask a web service and return its JSON answer.

    Raises
    ------
    InputError
        If it does not answer, or not with JSON of at most 16 MiB.
    """
    check_address(url)

    def once() -> Any:
        with ask(url, {"Accept": "application/json"}) as answer:
            check_status(answer)
            body = answer.raw.read(MAX_JSON + 1, decode_content=True)
        try:
            if len(body) > MAX_JSON:
                raise ValueError
            return json.loads(body)
        except (ValueError, RecursionError):
            raise Failure("the answer is not the JSON it should be", "run again later") from None

    try:
        return persist(once)
    except Failure as failure:
        raise failure.error(plain(url)) from None


class Session(requests.Session):
    """A session that leaves redirects, and what comes with them, to `follow`."""

    def resolve_redirects(self, *_: Any, **__: Any) -> Generator[requests.Response, None, None]:
        """Give no further request; the inherited method reads the whole body of a redirect."""
        yield from ()


@contextlib.contextmanager
def ask(url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    """Give the answer to a GET request, its body not yet read; whatever goes wrong with the network is a `Failure`.

    Redirects are followed, at most `MAX_REDIRECTS`, never from https to http; another host gets no headers but the
    ones that ask for a part. Proxies and certificates are those that the environment names.
    """
    try:
        with Session() as session:
            answer = follow(session, url, {"Accept-Encoding": "identity", **headers})
            with answer:
                yield answer
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise explain(error, urlsplit(url).hostname or "") from None


def follow(session: requests.Session, url: str, headers: Mapping[str, str]) -> requests.Response:
    """Send a GET request and follow redirects to the answer."""
    public = {"accept", "accept-encoding", "range", "if-range"}
    seen: list[str] = []
    while True:
        try:
            answer = session.get(
                url, headers=dict(headers), stream=True, allow_redirects=False, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)
            )
        except requests.RequestException:
            raise
        except ValueError:  # of the parts of an address, which the library does not all check
            raise Failure("it is, or redirects to, no web address", "correct it in params.yaml") from None
        if not answer.is_redirect:
            return answer
        answer.close()
        seen.append(url)
        old, url = url, target_of(url, answer.headers["Location"])
        if urlsplit(old).scheme == "https" and urlsplit(url).scheme == "http":
            what = f"it redirects from https to http ({plain(url)}), which anyone on the way could alter"
            raise Failure(what, "use another address")
        if len(seen) > MAX_REDIRECTS:
            way = "in a circle" if url in seen else f"more than {MAX_REDIRECTS} times"
            raise Failure(f"it redirects {way}", f"run again later, or {BY_HAND}")
        if urlsplit(old).netloc != urlsplit(url).netloc:
            headers = {name: value for name, value in headers.items() if name.lower() in public}


def target_of(url: str, location: str) -> str:
    """Return the address that a redirect names, absolute or relative to `url`."""
    try:
        target = urljoin(url, location.encode("latin-1", "replace").decode(errors="replace"))
    except ValueError:
        target = ""
    if not is_address(target):
        raise Failure("it redirects to what is no web address", "correct the address in params.yaml")
    return target


def explain(error: Exception, host: str) -> Failure:
    """Say what a network error means. Texts of the libraries are not shown: they hold addresses with queries."""
    found = causes(error)

    def among(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in found)

    if among(requests.exceptions.ProxyError, urllib3.exceptions.ProxyError, requests.exceptions.InvalidProxyURL):
        return Failure("the proxy does not answer", "check the proxy that HTTPS_PROXY names", again=True)
    if among(requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, urllib3.exceptions.LocationParseError):
        return Failure("it is, or redirects to, no web address", "correct it in params.yaml")
    if among(requests.exceptions.SSLError, urllib3.exceptions.SSLError):
        to_do = "check the computer's date, and the certificates that REQUESTS_CA_BUNDLE names"
        return Failure("no secure connection, or its certificate could not be verified", to_do)
    if among(urllib3.exceptions.NameResolutionError):
        return Failure(f"no address is known for {host} (DNS)", "check the network and the name", again=True)
    if among(urllib3.exceptions.NewConnectionError):
        return Failure("no connection", "check the network, the proxy and the address, or run again later", again=True)
    if among(requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError):
        what = f"no connection within {CONNECT_TIMEOUT:.0f} s"
        return Failure(what, "check the network or run again later", again=True)
    if among(requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError):
        return Failure(f"it stalled: nothing came for {READ_TIMEOUT:.0f} s", GO_ON, again=True)
    if among(urllib3.exceptions.DecodeError):
        return Failure("what came is damaged", GO_ON, again=True)
    return Failure("the connection broke off", GO_ON, again=True)


def causes(error: BaseException) -> list[BaseException]:
    """Return an exception and those it was made from, which libraries keep in different places."""
    found: list[BaseException] = []
    rest: list[Any] = [error]
    while rest:
        one = rest.pop()
        if isinstance(one, BaseException) and not any(one is other for other in found):
            found.append(one)
            rest += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return found
