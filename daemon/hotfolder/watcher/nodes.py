"""The watched folders of one root as a tree, so that a folder that is renamed is one changed pointer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchdog.observers.inotify_c import CallbackId, WatchDescriptor


class Node:
    """One folder. Its path is that of its parents, so that renaming any of them is one step."""

    __slots__ = ("children", "key", "name", "parent")

    def __init__(self, name: bytes, parent: Node | None) -> None:
        self.name = name
        self.parent = parent
        self.children: dict[bytes, Node] = {}
        self.key: tuple[WatchDescriptor, CallbackId] | None = None
        """Watch descriptor and callback id, while watched."""

    def path(self) -> bytes:
        names = []
        node = self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return b"/".join(reversed(names))

    def below(self) -> Iterator[Node]:
        """This node, and all below it."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(node.children.values())

    def at(self, path: bytes) -> Node:
        """The node of this path, relative to this node. Where there is none it is made."""
        node = self
        for name in path.split(b"/") if path else ():
            child = node.children.get(name)
            if child is None:
                child = node.children[name] = Node(name, node)
            node = child
        return node

    def detach(self) -> None:
        """Take it from among the children of its parent. It keeps the pointer to the parent."""
        if self.parent is not None and self.parent.children.get(self.name) is self:
            del self.parent.children[self.name]

    def attach(self, parent: Node, name: bytes) -> None:
        """Hang it, and all below it, to a parent by this name."""
        self.name, self.parent = name, parent
        parent.children[name] = self
