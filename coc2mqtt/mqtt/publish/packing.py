"""Keeping thousands of payloads that resemble one another: 20 kB each as they are, some hundred bytes packed."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL = 1
# What is packed to more than this share of its size resembles none of the models, and becomes one itself.
_LARGEST_SHARE = 1 / 20
# So many models there are at most: the bridge, a clan and a player, and what an earlier version said of these.
_MODELS = 6
# What is smaller (bytes) is not worth a model.
_SMALLEST_MODEL = 1024


class Packer:
    """Packs payloads by what they have in common with those before; what is packed is for this packer alone."""

    def __init__(self) -> None:
        # The first is none.
        self._models: list[zstd.ZstdDict | None] = [None]

    def pack(self, payload: bytes) -> bytes:
        """Return a payload packed; an empty one is empty."""
        if not payload:
            return b""
        packed = self._by_model(payload, 0)
        for number in range(1, len(self._models)):
            packed = min(packed, self._by_model(payload, number), key=len)
            if len(packed) <= len(payload) * _LARGEST_SHARE:
                return packed
        if len(payload) < _SMALLEST_MODEL or len(self._models) > _MODELS:
            return packed
        self._models.append(zstd.ZstdDict(payload, is_raw=True))
        return self._by_model(payload, len(self._models) - 1)

    def unpack(self, packed: bytes) -> bytes:
        """Return the payload that was packed."""
        return zstd.decompress(packed[1:], zstd_dict=self._models[packed[0]]) if packed else b""

    def _by_model(self, payload: bytes, number: int) -> bytes:
        return bytes([number]) + zstd.compress(payload, level=_LEVEL, zstd_dict=self._models[number])
