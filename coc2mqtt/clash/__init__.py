"""Speak the Clash of Clans API: tags, tokens, pace, answers and typed errors."""

from __future__ import annotations

from coc2mqtt.clash.client import DEFAULT_BASE_URL, ClashClient
from coc2mqtt.clash.errors import (
    BadAnswerError,
    BadRequestError,
    CertificateError,
    ClashError,
    CutOffError,
    DeniedError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    ServerError,
    ThrottledError,
    UnreachableError,
    WrongAddressError,
    WrongTokenError,
)
from coc2mqtt.clash.response import Answer
from coc2mqtt.clash.tags import InvalidTagError, normalize_tag, tag_to_path, tag_to_topic

__all__ = [
    "DEFAULT_BASE_URL",
    "Answer",
    "BadAnswerError",
    "BadRequestError",
    "CertificateError",
    "ClashClient",
    "ClashError",
    "CutOffError",
    "DeniedError",
    "InvalidTagError",
    "MaintenanceError",
    "NotFoundError",
    "PrivateWarLogError",
    "ServerError",
    "ThrottledError",
    "UnreachableError",
    "WrongAddressError",
    "WrongTokenError",
    "normalize_tag",
    "tag_to_path",
    "tag_to_topic",
]
