"""The native library, checked to be this package's own, and calls into it."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Any, Callable

from . import errors

try:
    # Not from the package's `__init__`, which has only what UniFFI calls public.
    from ._native import vidcache_uniffi
except Exception as error:  # UniFFI raises a class of its own when the two do not fit.
    raise ImportError(f"vidcache: its native library is missing, of another system or of another version ({error}); install vidcache again, for this one") from error

native: Any = vidcache_uniffi


def _left_to_the_process(kind: Any) -> None:
    """Lets UniFFI's objects free themselves in silence at the interpreter's end. What they do it with can be gone by
    then, as on free-threaded CPython 3.13; the process frees them.
    """
    free, is_finalizing = kind.__del__, sys.is_finalizing

    def freed(self: Any) -> None:
        try:
            free(self)
        except Exception:
            if not is_finalizing():
                raise

    kind.__del__ = freed


for _kind in (native.Vidcache, native.Statements, native.Exchange):
    _left_to_the_process(_kind)

__version__: str = native.library_version()

try:
    _installed = metadata.version("vidcache")
except metadata.PackageNotFoundError:
    # Used without having been installed.
    _installed = __version__
if _installed != __version__:
    raise ImportError(f"vidcache: this is version {_installed}, and its native library {__version__}; install vidcache again")


def error_of(failure: Any) -> errors.VidcacheError:
    """What the library failed with, as one of `errors`."""
    kind = errors.BY_CODE.get(failure.code, errors.Internal)
    retry_after = None if failure.retry_after_ms is None else failure.retry_after_ms / 1000
    return kind(failure.text, vid=failure.vid, retry_after=retry_after)


def call(function: Callable[..., Any], *args: Any) -> Any:
    """Calls the library; what it fails with becomes one of `errors`."""
    try:
        return function(*args)
    except native.VidcacheError as error:
        raise error_of(error) from None
    except native.InternalError:
        # Its words could quote an argument.
        raise errors.Internal("internal error: the library did not take an argument; please report it") from None
