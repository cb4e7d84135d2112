"""Any text is normalised to a valid tag or rejected; in topics and paths a tag is a single segment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.clash import InvalidTagError, normalize_tag, tag_to_path, tag_to_topic
from coc2mqtt.events.resource import Kind
from coc2mqtt.mqtt.client.messages import check_topic
from coc2mqtt.mqtt.topics import Topics
from tests.fuzz.examples import fuzzed

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.fuzz

TAG = re.compile("#[0289PYLQGRJCUV]{3,15}")
# Includes characters that become letters of a tag by upper-casing or normalisation.
LETTERS = st.sampled_from(
    [*"0289PYLQGRJCUVOpylqgrjcuvo#%23 \t\n\0/+", *"ſßŉǰΐıﬀ０２ＰＯо\u00a0\u2003\u202e\u2028\ud800"]
)
ALMOST_TAGS = st.text(LETTERS, max_size=18) | st.builds("{}{}{}".format, LETTERS, st.just("2PP"), LETTERS)


def test_any_text_is_a_normalized_tag_or_rejected(count_example: Callable[[], None]) -> None:
    topics = Topics()

    @fuzzed(short=300, long=10_000)
    @given(ALMOST_TAGS | st.text())
    def read(text: str) -> None:
        count_example()
        try:
            tag = normalize_tag(text)
        except InvalidTagError as error:
            message = str(error)
            assert len(message) < 500
            return
        assert TAG.fullmatch(tag)
        assert normalize_tag(tag) == normalize_tag(tag.lower()) == tag
        assert unquote(tag_to_path(tag)) == tag
        assert topics.state(Kind.CLAN, tag, "clan").split("/") == ["coc", "clan", tag_to_topic(tag), "state", "clan"]
        check_topic(topics.event(Kind.PLAYER, tag, "hero_upgraded"))

    read()
