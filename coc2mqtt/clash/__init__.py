"""A client for the Clash of Clans API: requests, rate limiting, responses, typed errors and tags."""

from __future__ import annotations

from coc2mqtt.clash.client import DEFAULT_BASE_URL, ClashClient
from coc2mqtt.clash.errors import (
    BadRequestError,
    CertificateError,
    ClashError,
    DeniedError,
    InvalidResponseError,
    IpNotAllowedError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    ServerError,
    ThrottledError,
    TruncatedResponseError,
    UnreachableError,
    WrongTokenError,
)
from coc2mqtt.clash.response import ApiResponse
from coc2mqtt.clash.tags import InvalidTagError, normalize_tag, tag_to_path, tag_to_topic

__all__ = [
    "DEFAULT_BASE_URL",
    "ApiResponse",
    "BadRequestError",
    "CertificateError",
    "ClashClient",
    "ClashError",
    "DeniedError",
    "InvalidResponseError",
    "InvalidTagError",
    "IpNotAllowedError",
    "MaintenanceError",
    "NotFoundError",
    "PrivateWarLogError",
    "ServerError",
    "ThrottledError",
    "TruncatedResponseError",
    "UnreachableError",
    "WrongTokenError",
    "normalize_tag",
    "tag_to_path",
    "tag_to_topic",
]
