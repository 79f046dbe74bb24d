"""Records of a journal that may have been edited or damaged: what is in their fields is what events have there.

An event's own fields may be missing, and others be there: a journal may be of another version.
"""

from __future__ import annotations

import functools
import typing
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Field, ValidationError, create_model

from autolrs_cli.records.events import Event, event_name

Count = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_PLACE: dict[str, Any] = {
    "event": str,
    "t": Seconds,
    "step": Count,
    "total_steps": Count,
    "phase": str | None,
    "stage": Count | None,
    "trial": Count | None,
}
_NEEDED = ("event", "t", "step", "total_steps")
_NUMBERS = (int, float)
# Nearly all records are these, and a journal may have millions.
_POINTS = {
    "step": ("t", "step", "total_steps", "lr"),
    "trial_step": ("t", "step", "total_steps", "trial_step"),
}


def verified(line: bytes) -> dict[str, Any]:
    """Return the record in a line of a journal.

    Raises:
        ValueError: if it is not JSON, or not an event, or a field holds what such an event never has.
    """
    record = orjson.loads(line)
    if not isinstance(record, dict) or not isinstance(record.get("event"), str):
        raise ValueError("it is not an event")
    name = record["event"]
    if name in _POINTS and _is_point(record, _POINTS[name]):
        return record
    try:
        _shape(name).model_validate_json(line, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"`{field}` of a {name} is wrong: {first['msg']}") from None
    return record


def _is_point(record: dict[str, Any], fields: tuple[str, ...]) -> bool:
    """Tell at once whether a point of a curve is well; what is not gets a closer look."""
    loss = record.get("loss", "")
    return (loss is None or type(loss) in _NUMBERS) and all(
        type(record.get(name)) in _NUMBERS and 0 <= record[name] < 2**63 for name in fields
    )


@functools.cache
def _shape(name: str) -> type[BaseModel]:
    """Return the schema of the records of an event; of one that is unknown here, what all records have."""
    cls = next((cls for cls in typing.get_args(Event) if event_name(cls) == name), None)
    own = {} if cls is None else typing.get_type_hints(cls)
    fields: dict[str, Any] = {key: (hint, None) for key, hint in {**own, **_PLACE}.items()}
    fields |= {key: (_PLACE[key], ...) for key in _NEEDED}
    return create_model("Record", **fields)
