"""Modules that a library imports at its own start, though a service next to never needs them, are left until used.

Connexion brings a client for tests and two HTTP clients: a sixth of what a worker needs to start. Owns which modules
those are, and how they come when they are called for after all. Must run before the libraries are imported.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_LEFT = {
    # FlaskApp.test_client(); tokens that another server checks; and specs that lie on another server.
    "connexion": ("starlette.testclient", "httpx", "requests"),
    # Rates that are counted by coroutines.
    "limits": ("limits.aio",),
}
"""By the library that imports them. Anybody else who imports them gets them as ever."""

_CALLED = {"starlette.testclient": "TestClient"}
"""What is imported by its name out of a module that is left: it only has to be callable."""


def install() -> None:
    """Have the libraries that are imported from now on do without; once is enough."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds the libraries where they are, and has them run with placeholders for what is left."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _LEFT:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module
            # The loader stays what it is to everybody who asks for it, for a library's files, say.
            spec.loader.exec_module = lambda module: _run(run, module)  # type: ignore[method-assign]
        return spec


def _run(run: Callable[[ModuleType], None], module: ModuleType) -> None:
    with _placeholders(_LEFT[module.__name__]):
        run(module)


@contextmanager
def _placeholders(names: Iterable[str]) -> Iterator[None]:
    placed = {name: _Placeholder(name) for name in names if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name, placeholder in placed.items():
            if sys.modules.get(name) is placeholder:
                del sys.modules[name]


class _Placeholder(ModuleType):
    """Imports the module once something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == _CALLED.get(self.__name__):
            return lambda *args, **kwargs: getattr(_imported(self), name)(*args, **kwargs)
        return getattr(_imported(self), name)


def _imported(placeholder: _Placeholder) -> ModuleType:
    if sys.modules.get(placeholder.__name__) is placeholder:
        del sys.modules[placeholder.__name__]
    return importlib.import_module(placeholder.__name__)
