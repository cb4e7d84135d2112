"""Redaction: no secret in any text that leaves the program."""

from __future__ import annotations

import base64
import html
import json
import re
import sys
import traceback
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, urlsplit
from urllib.request import getproxies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from structlog.typing import EventDict, Processor, WrappedLogger

    from coc2mqtt.config.settings import Settings

# In the example file. It is no secret, and an error message names it.
TOKEN_PLACEHOLDER = "paste-your-token-here"  # noqa: S105
REDACTED = "***"

# A shorter secret, or one that is also an ordinary word of the program's texts, is replaced only where a credential
# stands: else half of a log would be asterisks, and show what the secret is.
_SHORTEST_ANYWHERE = 6
_ORDINARY = ("coc2mqtt", "homeassistant", "mosquitto", "localhost", "password", "username", "default", "warning")
# A long secret may have been cut off by whoever quotes it: so much of its beginning is enough to know it.
_LONG, _BEGINNING = 32, 24
# What of a cut-off secret may follow its beginning.
_REST = r"[A-Za-z0-9._~+/=%-]*"

# The credentials of a request, whosever they are, and the user part of a URL.
_BEARER = re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/-]{16,}=*")
_BASIC = re.compile(r"(?i)(authorization\W{1,6}basic\s+)[A-Za-z0-9+/_-]{4,}=*")
_USER_INFO = re.compile(r"(?<=://)[^/?#\s\"'@:]*:[^/?#\s\"']*(?=@)")
# Where a short secret is replaced: behind a name for one, and in front of a host.
_NAMED = r"(?i:pass(?:word|wd|phrase)?|pwd|token|secret|credentials?)[\"']?\s*[:=]\s*[\"']?"


class Redactor:
    """Replaces secrets in texts by asterisks.

    ``secrets`` are replaced as they are, and as JSON, Python, HTML or URLs write them; so are ``logins`` (user name
    and password) as HTTP's basic authentication writes them. ``public`` names values that may be shown, such as the
    user name: a secret that is part of one is replaced only where a password or a token is named.
    """

    def __init__(
        self,
        secrets: Iterable[str] = (),
        *,
        logins: Iterable[tuple[str, str]] = (),
        public: Iterable[str] = (),
    ) -> None:
        shown = " ".join((*_ORDINARY, *public)).casefold()
        logins = [(user, password) for user, password in logins if password]
        every = {secret for secret in (*secrets, *(password for _, password in logins)) if secret.strip()}
        plain = {one for one in every if len(one) >= _SHORTEST_ANYWHERE and one.casefold() not in shown}
        basic = {base64.b64encode(f"{user}:{password}".encode()).decode() for user, password in logins}
        plain |= {one for one in basic if len(one) > _SHORTEST_ANYWHERE}
        forms = _by_length(form for one in plain for form in _forms(one))
        patterns = [pattern for form in forms for pattern in _patterns(form)]
        self._secrets = re.compile("|".join(patterns)) if patterns else None
        weak = "|".join(re.escape(form) for form in _by_length(form for one in every - plain for form in _forms(one)))
        self._weak = re.compile(f"({_NAMED})(?:{weak})(?![\\w-])|(?<=:)(?:{weak})(?=@)") if weak else None

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        if self._secrets is not None:
            text = self._secrets.sub(REDACTED, text)
        if self._weak is not None:
            text = self._weak.sub(lambda found: f"{found[1] or ''}{REDACTED}", text)
        if "://" in text:
            text = _USER_INFO.sub(REDACTED, text)
        text = _BEARER.sub(rf"\1{REDACTED}", text)
        return _BASIC.sub(rf"\1{REDACTED}", text)


def redactor_of(settings: Settings) -> Redactor:
    """Return a redactor of every known secret: those of the settings, and of the proxies in the environment."""
    mqtt = settings.mqtt
    password = "" if mqtt.password is None else mqtt.password.get_secret_value()
    urls = [mqtt.host or "", *getproxies().values()]
    return Redactor(
        [token.get_secret_value() for token in settings.api.tokens],
        logins=[(mqtt.username or "", password), *(login for url in urls if (login := login_of(url)) is not None)],
        public=[
            settings.instance,
            mqtt.username or "",
            mqtt.base_topic,
            mqtt.host or "",
            str(settings.journal.path),
            TOKEN_PLACEHOLDER,
        ],
    )


def redacting(renderer: Processor, redact: Callable[[str], str]) -> Processor:
    """Return a renderer of log lines whose result has no secret, whatever is in the values and tracebacks."""

    def render(logger: WrappedLogger, name: str, event: EventDict) -> str | bytes | Mapping[str, object]:
        line = renderer(logger, name, event)
        return redact(line) if isinstance(line, str) else line  # type: ignore[return-value]  # as the renderer's

    return render


def redact_uncaught(redact: Callable[[str], str]) -> None:
    """Let the traceback of an exception that ends the program have no secret."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = show


def login_of(url: str) -> tuple[str, str] | None:
    """Return the user name and the password in a URL, None without a password."""
    try:
        parts = urlsplit(url)
        user, password = parts.username, parts.password
    except ValueError:
        return None
    return (unquote(user or ""), unquote(password)) if password else None


def _forms(secret: str) -> set[str]:
    """Return how a secret may be written, also in a text that is written in another one once more."""
    once = {secret, *_quoted(secret), html.escape(secret), quote(secret, safe=""), quote(secret), quote_plus(secret)}
    return once | {form for one in once for form in _quoted(one)}


def _quoted(text: str) -> set[str]:
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}


def _by_length(forms: Iterable[str]) -> Iterator[str]:
    # The longest first: of two forms of which one begins with the other, the rest of the longer one would be left.
    return iter(sorted(set(forms), key=lambda form: (-len(form), form)))


def _patterns(form: str) -> list[str]:
    """Return what matches a secret in this form, and the beginning of a long one that was cut off."""
    whole = re.escape(form)
    return [whole] if len(form) < _LONG else [whole, re.escape(form[:_BEGINNING]) + _REST]
