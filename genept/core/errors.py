"""Errors for people: one line that says what is wrong, where, and what to do; never a traceback."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import click

from genept.core.text import MESSAGE, printable, shorten

LOGIN = re.compile(r"(?<=://)[^/?#\s]*@")  # of an address, user:password@
SECRET = re.compile(  # a key of its query, and the value
    r"(?P<key>[?&;#](?:x-(?:amz|goog)-[\w-]+|(?:[\w.-]*[-_.])?(?:(?:access|api|auth|id|private|refresh|secret|session)?"
    r"(?:token|key|keyid)|awsaccesskeyid|auth|code|credentials?|jwt|pass|passw(?:or)?d|policy|pwd|secret|sig"
    r"|signature|session|sessionid))=)[^&;#\s'\"]+",
    re.IGNORECASE,
)


def hide_secrets(text: str) -> str:
    """Return a text without the logins and tokens in its addresses."""
    return SECRET.sub(r"\g<key>***", LOGIN.sub("***@", text))


class InputError(click.ClickException):
    """Data, a file or a download is not what it should be. The command ends with exit code 1.

    A message may name labels, genes and files as they are: it is made one line of bounded length here.
    Logins and tokens in addresses are not shown.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(shorten(printable(hide_secrets(message)), MESSAGE))


class NotFoundAtSource(InputError):
    """The server or folder was reached and does not have the requested item.

    `reason` says why, without what to do about it and without a path of this machine.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class ParamsError(InputError):
    """``params.yaml`` or the command line names something that does not exist. The command ends with exit code 2."""

    exit_code = 2


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which of the known names was probably meant: ``; did you mean 'phenotype'?``, or nothing if none is near."""
    lowered = {text.lower(): text for text in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f"; did you mean {lowered[near[0]]!r}?" if near else ""
