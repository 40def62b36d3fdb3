"""From a row to a dataclass. The columns of the query are derived from the fields, so that both have one order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


class Columns(Generic[T]):
    """The columns that fill one type of row, and the rows made of them."""

    def __init__(
        self,
        row_type: type[T],
        *,
        table: str = "",
        origins: Mapping[str, str] | None = None,
        converters: Mapping[str, Callable[[Any], Any]] | None = None,
    ) -> None:
        """`table`: its name in the query. `origins`: SQL of fields that are no column of it. `converters`: by field."""
        self._make: Callable[..., T] = row_type
        self._names = [field.name for field in fields(row_type)]
        self._converters = converters or {}
        prefix = table + "." if table else ""
        origins = origins or {}
        self.sql = ", ".join(origins.get(name, prefix + name) for name in self._names)

    def row(self, columns: Sequence[Any]) -> T:
        """The row that a query for exactly `sql` has returned."""
        if not self._converters:
            return self._make(*columns)
        values = dict(zip(self._names, columns, strict=True))
        for name, convert in self._converters.items():
            values[name] = convert(values[name])
        return self._make(**values)

    def rows(self, fetched: Iterable[Sequence[Any]]) -> list[T]:
        return [self.row(columns) for columns in fetched]
