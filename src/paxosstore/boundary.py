"""The trust boundary: what comes from outside leaves here as exactly `int`, `float`, `bytes` or `str`, or is refused.

Inside, values are written, compared and sent without another look, so none of them may be of a type that only resembles: a
subclass can say anything of itself, `True` is no number on the wire, 1.0 is none on the disk. Copies are made by methods of
the base types, which a subclass cannot override; nothing here lets a value describe itself in an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from itertools import islice
from operator import index
from typing import Any, TypeVar
from uuid import UUID

from .errors import CallerError, InvalidRequest, TooLarge

UUID_BYTES = 16
MAX_SHOWN = 80
"""Characters of a value that an error repeats."""
MAX_SHOWN_BITS = 256
MAX_ENTITY = 2**64 - 1
MAX_HOST = 255
MAX_TIMEOUT_MS = 86_400_000.0
"""A day."""

Refusal = type[CallerError]
F = TypeVar("F", bound=Callable[..., Any])


def kind(value: Any) -> str:
    """The name of a value's type, whatever its metaclass says."""
    return str.__str__(type.__dict__["__name__"].__get__(type(value)))


def shown(value: Any) -> str:
    """A value as an error may show it: in short, and by its own words only if it is of a plain type."""
    exact = type(value)
    if exact is int and value.bit_length() > MAX_SHOWN_BITS:
        return "a huge number"
    if exact in (int, float, bool, bytes, str, type(None)):
        text = repr(value[:MAX_SHOWN] if exact in (bytes, str) else value)
        return text[:MAX_SHOWN]
    return f"a value of type {kind(value)}"


def exact_int(name: str, value: Any, least: int, most: int, refusal: Refusal = InvalidRequest) -> int:
    """A whole number: an int, or what can be used as one (`__index__`, as numpy's integers); a bool is none."""
    number = value
    if type(number) is not int:
        if not issubclass(type(number), bool):
            try:
                number = index(number)
            except Exception:
                number = None
        if not issubclass(type(number), int) or type(number) is bool:
            raise refusal(f"{name} must be a whole number, not {shown(value)}")
        number = int.__index__(number)
    if not least <= number <= most:
        raise refusal(f"{name} must be {least} to {most}, not {shown(number)}")
    return number


def exact_number(name: str, value: Any, most: float, refusal: Refusal = InvalidRequest) -> float:
    """A number over 0: an int, a float, or what converts to one (`__float__`, `__index__`); neither a bool nor a text."""
    number = value if type(value) is float else _as_float(value)
    if number is None:
        raise refusal(f"{name} must be a number, not {shown(value)}")
    if not 0.0 < number <= most:  # false for what is no number
        raise refusal(f"{name} must be a number over 0 and at most {most:.0f}, not {shown(number)}")
    return number


def _as_float(value: Any) -> float | None:
    """None: it is no number. `float` itself would read one out of a text."""
    cls = type(value)
    try:
        if issubclass(cls, float):
            return float.__float__(value)
        if cls is not bool and (hasattr(cls, "__float__") or hasattr(cls, "__index__")):
            return float.__float__(float(value))
    except Exception:
        return None
    return None


def exact_bool(name: str, value: Any, refusal: Refusal = InvalidRequest) -> bool:
    if type(value) is not bool:
        raise refusal(f"{name} must be True or False, not {shown(value)}")
    return value


def exact_bytes(name: str, value: Any, most: int | None = None) -> bytes:
    """Bytes, a bytearray or a memoryview: an exact copy if it is not exactly bytes. Raises TooLarge before it copies more than
    `most`."""
    cls = type(value)
    if cls is not bytes:
        try:
            if issubclass(cls, bytes):
                value = bytes.__getitem__(value, slice(None))
            elif issubclass(cls, bytearray):
                _check_size(name, bytearray.__len__(value), most)
                value = bytes(bytearray.__getitem__(value, slice(None)))
            elif isinstance(value, memoryview):
                _check_size(name, value.nbytes, most)
                value = value.tobytes()
        except ValueError:  # a memoryview that was released
            raise InvalidRequest(f"{name} cannot be read any more: its memoryview was released") from None
    if type(value) is not bytes:
        raise InvalidRequest(f"{name} must be bytes, not {kind(value)}")
    _check_size(name, len(value), most)
    return value


def _check_size(name: str, size: int, most: int | None) -> None:
    if most is not None and size > most:
        raise TooLarge(f"{name} of {size} bytes is over the limit of {most}")


def exact_text(name: str, value: Any, most: int, refusal: Refusal = InvalidRequest) -> str:
    """Text that can be written as UTF-8, of at most so many characters."""
    cls = type(value)
    if cls is not str:
        if not issubclass(cls, str):
            raise refusal(f"{name} must be a text, not {shown(value)}")
        value = str.__str__(value)
    assert type(value) is str
    if len(value) > most:
        raise refusal(f"{name} of {len(value)} characters is over the limit of {most}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise refusal(f"{name} cannot be written as UTF-8: {value!r:.{MAX_SHOWN}}") from None
    return value


def exact_uuid(value: Any) -> bytes:
    """The 16 bytes of a request's uuid, or none: b"" stays empty."""
    if type(value) is bytes and len(value) in (0, UUID_BYTES):
        return value
    try:
        found = int.to_bytes(value.int, UUID_BYTES, "big") if issubclass(type(value), UUID) else value
        exact = exact_bytes("a uuid", found)
    except Exception:
        raise InvalidRequest(f"a uuid must be 16 bytes or a uuid.UUID, not {shown(value)}") from None
    if len(exact) not in (0, UUID_BYTES):
        raise InvalidRequest(f"a uuid has 16 bytes, not {len(exact)}")
    return exact


def exact_entity(value: Any) -> int:
    if type(value) is int and 0 <= value <= MAX_ENTITY:
        return value
    return exact_int("an entity", value, 0, MAX_ENTITY)


def exact_list(name: str, values: Any, most: int, refusal: Refusal = InvalidRequest) -> list[Any]:
    """The items of what can be gone through, however long it says it is; a text or bytes are one item, so they are refused."""
    if issubclass(type(values), (str, bytes, bytearray)):
        raise refusal(f"{name} must be a list, not {kind(values)}")
    try:
        items: list[Any] = list(islice(values, most + 1))
    except Exception as error:
        raise refusal(f"{name} must be a list, not {shown(values)} ({kind(error)})") from None
    if len(items) > most:
        raise refusal(f"{name}: {most} are possible at most")
    return items


def exact_pairs(name: str, mapping: Any, most: int, refusal: Refusal = InvalidRequest) -> Iterable[tuple[Any, Any]]:
    """Keys and values of a mapping, one by one."""
    try:
        items = iter(mapping.items())
        for number in range(most + 1):
            try:
                key, value = next(items)
            except StopIteration:
                return
            if number == most:
                raise refusal(f"{name}: {most} are possible at most")
            yield key, value
    except CallerError:
        raise
    except Exception as error:
        raise refusal(f"{name} must be a mapping, not {shown(mapping)} ({kind(error)})") from None


def is_host(text: str) -> bool:
    """Whether it can be a host's name or address: for others, a look-up fails with errors of its own."""
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return 0 < len(text) <= MAX_HOST and text.isprintable() and not any(c.isspace() for c in text)


def exact_function(name: str, value: Any) -> Any:
    """What can be called and answers at once: a batch waits for nobody."""
    if any(is_one(value) for is_one in (iscoroutinefunction, isasyncgenfunction, isgeneratorfunction)):
        raise InvalidRequest(f"{name} must be a plain function, neither async nor a generator")
    return exact_callable(name, value)


def exact_callable(name: str, value: F, refusal: Refusal = InvalidRequest) -> F:
    if not callable(value):
        raise refusal(f"{name} must be a function, not {shown(value)}")
    return value
