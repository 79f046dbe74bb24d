"""The labels of a data set of the hub: which column they are in, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from autolrs_cli.errors import ConfigError
from autolrs_recipes.checks import named

if TYPE_CHECKING:
    from datasets import Dataset

_USUAL = ("label", "labels")
_MOST_CLASSES = 100_000


def label_column(rows: Dataset, given: str | None, what: str) -> str:
    """Return the column that holds the labels.

    Args:
        rows: the training split.
        given: the setting; None: it is to be found.
        what: the data, for messages.

    Raises:
        ConfigError: if there is none, or several.
    """
    import datasets

    if given is not None and given in rows.column_names:
        return given
    labels = [name for name, feature in rows.features.items() if isinstance(feature, datasets.ClassLabel)]
    usual = [name for name in _USUAL if name in rows.column_names]
    found = labels if len(labels) == 1 else [name for name in usual if name in labels or not labels]
    if given is None and len(found) == 1:
        return found[0]
    but = f"got data.label_column={given}" if given else "it cannot be told which that is"
    raise ConfigError(
        f"`data.label_column` must be the column of {what} that holds the labels, but {but}, and it has the columns "
        f"{', '.join(rows.column_names)}; of class labels: {', '.join(labels) or 'none'}. Set data.label_column; data "
        "without labels cannot be classified."
    )


@dataclass(frozen=True)
class Labels:
    """Labels and their names.

    Args:
        column: that holds them.
        classes: their names, in order.
        numbered: whether the column holds places in `classes`; else it holds the names.
    """

    column: str
    classes: tuple[str, ...]
    numbered: bool

    @classmethod
    def of(cls, rows: Dataset, column: str) -> Labels:
        """Return the labels of a column: class labels, whole numbers from 0, or text.

        Raises:
            ConfigError: if it holds anything else, or a single class.
        """
        import datasets

        feature = rows.features[column]
        kind = str(getattr(feature, "dtype", feature))
        if isinstance(feature, datasets.ClassLabel):
            found = cls(column, tuple(map(str, feature.names)), numbered=True)
        elif kind in ("string", "large_string"):
            found = cls(column, tuple(sorted(filter(None, rows.unique(column)))), numbered=False)
        elif kind.startswith(("int", "uint")):
            most = max((each for each in rows.unique(column) if each is not None), default=-1)
            found = cls(column, tuple(map(str, range(min(most, _MOST_CLASSES) + 1))), numbered=True)
        else:
            raise ConfigError(
                f"`data.label_column` must hold class labels, whole numbers or names, but the column {column} holds "
                f"{kind}. Set data.label_column."
            )
        if len(found.classes) < 2:
            raise ConfigError(
                f"`data.label_column` must tell at least two classes apart, but the column {column} has "
                f"{named(list(found.classes)) or 'none'}. Set data.label_column."
            )
        return found

    def index(self, label: Any, where: str) -> int:
        """Return the class of a row's label.

        Raises:
            ConfigError: if it is none.
        """
        place = label if self.numbered else self._places.get(label)
        if isinstance(place, int) and 0 <= place < len(self.classes):
            return place
        raise ConfigError(
            f"Every label must be one of the {len(self.classes):,} classes of the training split "
            f"({named(list(self.classes))}), but {where} has {label!r} in its column {self.column}. Set "
            "data.target_split to a split whose labels are known, or null to hold out training images."
        )

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.classes)}
