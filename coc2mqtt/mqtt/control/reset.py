"""The command ``reset``: gives up what commands changed about the watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from coc2mqtt.events.resource import Kind
from coc2mqtt.mqtt.control import sentences
from coc2mqtt.mqtt.control.commands import Outcome, SelectRequest, Watched, identify
from coc2mqtt.mqtt.payloads.models import Payload

if TYPE_CHECKING:
    from coc2mqtt.mqtt.control.commands import CommandContext


class ResetRequest(SelectRequest):
    """Make the watches as in the configuration file again, optionally by kind or tag. Plain text is read as a tag.

    Watches that commands added are removed. Watches of the file that commands changed or removed are restored.
    """


class ResetData(Payload):
    """The watches that were changed. Without changes by commands, both lists are empty."""

    removed: list[Watched] = Field(description="Watches that commands had added.")
    restored: list[Watched] = Field(description="Watches of the file that commands had changed or removed.")


async def reset(context: CommandContext, request: ResetRequest) -> Outcome:
    """Reset the selected watches."""
    kind = None if request.kind is None else Kind(request.kind)
    result = await context.watches.reset(kind=kind, tag=request.tag)
    changed = [*result.removed, *result.restored]
    data = ResetData(removed=identify(result.removed), restored=identify(result.restored))
    return Outcome(data, sentences.were_reset(len(changed), changed[0].tag if changed else ""))
