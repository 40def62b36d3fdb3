"""Whether JSON is what the OpenAPI document says of a call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

JSON = "application/json"


class Document:
    """An OpenAPI document, and the calls in it."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Method in capitals, path, and what is said of the call."""
        for path, methods in self.content["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def operation(self, method: str, url: str) -> dict[str, Any]:
        """Of a path as it is called, with its ids and without a host."""
        wanted = url.partition("?")[0]
        for known, path, operation in self.operations():
            if known == method and re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)), wanted):
                return operation
        raise KeyError(f"{method} {url}")

    def check_answer(self, method: str, url: str, value: Any, status: int | None = None) -> None:
        """Fails where the answer is not of the schema; without a status, of the one of success."""
        responses = self.operation(method, url)["responses"]
        known = str(status) if status is not None else next(each for each in responses if each.startswith("2"))
        self._check(responses[known]["content"][JSON]["schema"], value, f"{method} {url}")

    def check_request(self, method: str, url: str, value: Any) -> None:
        content = self.operation(method, url)["requestBody"]["content"][JSON]
        self._check(content["schema"], value, f"{method} {url}")

    def _check(self, schema: dict[str, Any], value: Any, what: str) -> None:
        whole = {**schema, "components": self.content["components"]}
        errors = [f"{each.instance_path}: {each.message}" for each in jsonschema_rs.iter_errors(whole, value)]
        assert not errors, (what, errors)

    def vague(self) -> list[str]:
        """Parts of answers of which nothing is said: no type, no choice, or an object of whatever fields."""
        found: list[str] = []
        for method, path, operation in self.operations():
            for status, answer in operation["responses"].items():
                for kind, content in answer.get("content", {}).items():
                    found += self._vague(content.get("schema", {}), f"{method} {path} {status} {kind}", frozenset())
        return found

    def _vague(self, schema: Any, where: str, seen: frozenset[str]) -> Iterator[str]:
        if not isinstance(schema, dict) or not schema:
            yield where
            return
        if (name := schema.get("$ref")) is not None:
            if name not in seen:
                component = self.content["components"]["schemas"][name.rpartition("/")[2]]
                yield from self._vague(component, f"{where} {name.rpartition('/')[2]}", seen | {name})
            return
        parts = [*schema.get("anyOf", ()), *schema.get("prefixItems", ()), *schema.get("properties", {}).values()]
        if schema.get("type") == "object" and "properties" not in schema:
            parts.append(schema.get("additionalProperties"))
        if schema.get("type") == "array" and "prefixItems" not in schema:
            parts.append(schema.get("items"))
        if not parts and "type" not in schema and "const" not in schema:
            yield where
        for part in parts:
            yield from self._vague(part, where, seen)
