"""The kinds of hooks, by the key of the configuration that has their goal; exactly one of these keys is given.

Another kind is a module beside these with a `deliver` and a `goal`, its line here, and its key in `config.schema.Hook`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from hotfolder.config import Hook
from hotfolder.hooks import address, program
from hotfolder.hooks.answer import Answer
from hotfolder.index.outbox import Delivery


@dataclass(frozen=True, slots=True)
class Kind:
    """`deliver` tries a delivery once; `goal`: what may be shown of where it goes."""

    deliver: Callable[[Hook, Delivery, threading.Event], Answer]
    goal: Callable[[Hook], str]


KINDS = {
    "run": Kind(program.deliver, program.goal),
    "url": Kind(address.deliver, address.goal),
}


def of(hook: Hook) -> Kind:
    """The kind of this hook."""
    return next(kind for key, kind in KINDS.items() if getattr(hook, key) is not None)
