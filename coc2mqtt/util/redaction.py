"""Redaction of secrets in all text that leaves the program."""

from __future__ import annotations

import base64
import html
import json
import re
import sys
import traceback
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "***"

# A shorter secret, or one that is also a common word in the program's texts, is only replaced in the position of a
# credential. Otherwise half of a log would be asterisks, which would reveal the secret.
_MIN_LENGTH = 6
_COMMON_WORDS = ("coc2mqtt", "homeassistant", "mosquitto", "localhost", "password", "username", "default", "warning")
# A quoted long secret may be truncated: its prefix of this length is replaced too.
_LONG, _PREFIX = 32, 24
# The characters of a truncated secret that may follow its prefix.
_REST = r"[A-Za-z0-9._~+/=%-]*"

# The credentials of any HTTP request, and the user part of any URL.
_BEARER = re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/-]{16,}=*")
_BASIC = re.compile(r"(?i)(authorization\W{1,6}basic\s+)[A-Za-z0-9+/_-]{4,}=*")
_USER_INFO = re.compile(r"(?<=://)[^/?#\s\"'@:]*:[^/?#\s\"']*(?=@)")
# A short secret is replaced after one of these names, and before the host of a URL.
_CREDENTIAL_NAME = r"(?i:pass(?:word|wd|phrase)?|pwd|token|secret|credentials?)[\"']?\s*[:=]\s*[\"']?"


class Redactor:
    """Replaces secrets in texts by asterisks.

    ``secrets`` are replaced in plain form and as encoded in JSON, Python, HTML and URLs. ``logins`` (user name and
    password) are also replaced in the form of HTTP basic authentication. ``public`` contains values that may be shown,
    such as the user name: a secret that is part of one is only replaced after a name such as "password".
    """

    def __init__(
        self,
        secrets: Iterable[str] = (),
        *,
        logins: Iterable[tuple[str, str]] = (),
        public: Iterable[str] = (),
    ) -> None:
        shown = " ".join((*_COMMON_WORDS, *public)).casefold()
        logins = [(user, password) for user, password in logins if password]
        every = {secret for secret in (*secrets, *(password for _, password in logins)) if secret.strip()}
        strong = {secret for secret in every if len(secret) >= _MIN_LENGTH and secret.casefold() not in shown}
        basic = {base64.b64encode(f"{user}:{password}".encode()).decode() for user, password in logins}
        strong |= {encoded for encoded in basic if len(encoded) > _MIN_LENGTH}
        forms = _longest_first(form for secret in strong for form in _encodings(secret))
        patterns = [pattern for form in forms for pattern in _patterns(form)]
        self._strong = re.compile("|".join(patterns)) if patterns else None
        weak_forms = _longest_first(form for secret in every - strong for form in _encodings(secret))
        weak = "|".join(map(re.escape, weak_forms))
        self._weak = re.compile(f"({_CREDENTIAL_NAME})(?:{weak})(?![\\w-])|(?<=:)(?:{weak})(?=@)") if weak else None

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        if self._strong is not None:
            text = self._strong.sub(REDACTED, text)
        if self._weak is not None:
            text = self._weak.sub(lambda match: f"{match[1] or ''}{REDACTED}", text)
        if "://" in text:
            text = _USER_INFO.sub(REDACTED, text)
        text = _BEARER.sub(rf"\1{REDACTED}", text)
        return _BASIC.sub(rf"\1{REDACTED}", text)


def redacting_renderer(renderer: Processor, redact: Callable[[str], str]) -> Processor:
    """Wrap a renderer of log lines so that values and tracebacks are redacted too."""

    def render(logger: WrappedLogger, name: str, event: EventDict) -> str | bytes | Mapping[str, object]:
        line = renderer(logger, name, event)
        return redact(line) if isinstance(line, str) else line  # type: ignore[return-value]  # as the renderer's

    return render


def redact_uncaught_exceptions(redact: Callable[[str], str]) -> None:
    """Redact the traceback of an exception that terminates the program."""

    def print_redacted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = print_redacted


def url_login(url: str) -> tuple[str, str] | None:
    """Return the user name and the password in a URL, None without a password."""
    try:
        parts = urlsplit(url)
        user, password = parts.username, parts.password
    except ValueError:
        return None
    return (unquote(user or ""), unquote(password)) if password else None


def _encodings(secret: str) -> set[str]:
    """Return all forms of a secret in a text, including a text that is quoted in another one."""
    once = {secret, *_quoted(secret), html.escape(secret), quote(secret, safe=""), quote(secret), quote_plus(secret)}
    return once | {form for one in once for form in _quoted(one)}


def _quoted(text: str) -> set[str]:
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}


def _longest_first(forms: Iterable[str]) -> Iterator[str]:
    # If one form begins with another, replacing the shorter one first would leave the rest of the longer one.
    return iter(sorted(set(forms), key=lambda form: (-len(form), form)))


def _patterns(form: str) -> list[str]:
    """Return patterns for a form of a secret, and for the prefix of a long one that was truncated."""
    whole = re.escape(form)
    return [whole] if len(form) < _LONG else [whole, re.escape(form[:_PREFIX]) + _REST]
