"""Reads `tf.train.Example`, the message in which TensorFlow Datasets stores each example.

The message is a map from names of features to lists of bytes, floats or integers
(tensorflow/core/example/example.proto and feature.proto). Floats are skipped, because neither
images nor labels are stored as floats.
"""

from collections.abc import Iterator, Mapping

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
"""Wire types of Protocol Buffers."""

_FEATURES, _ENTRY, _KEY, _VALUE = 1, 1, 1, 2
_BYTES_LIST, _INT64_LIST = 1, 3
_MOST_BITS = 64


def parse_example(content: bytes) -> dict[str, list[bytes] | list[int]]:
    """The features of an example by name: lists of bytes, or of integers.

    Raises:
        ValueError: the message is damaged.
    """
    values: dict[str, list[bytes] | list[int]] = {}
    for features in _messages(content, _FEATURES):
        for entry in _messages(features, _ENTRY):
            name = b"".join(_messages(entry, _KEY)).decode("utf-8")
            for value in _messages(entry, _VALUE):
                for number, held in _fields(value):
                    if number == _BYTES_LIST and isinstance(held, bytes):
                        values[name] = list(_messages(held, 1))
                    elif number == _INT64_LIST and isinstance(held, bytes):
                        values[name] = list(_integers(held))
    return values


def make_example(features: Mapping[str, bytes | int]) -> bytes:
    """An example with one value per feature, for tests."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            held = _sent(_BYTES_LIST, _sent(1, value))
        else:
            held = _sent(_INT64_LIST, _sent(1, _varint(value % 2**_MOST_BITS)))
        entries += _sent(_ENTRY, _sent(_KEY, name.encode()) + _sent(_VALUE, held))
    return _sent(_FEATURES, entries)


def _sent(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    sent = bytearray()
    while value > 0x7F:
        sent.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*sent, value))


def _messages(content: bytes, number: int) -> Iterator[bytes]:
    """The contents of the length-delimited fields with this number."""
    for field, held in _fields(content):
        if field == number and isinstance(held, bytes):
            yield held


def _integers(content: bytes) -> Iterator[int]:
    """The integers of a list, which are stored packed or one by one."""
    for number, held in _fields(content):
        if number == 1 and isinstance(held, bytes):
            start = 0
            while start < len(held):
                value, start = _read_varint(held, start)
                yield _signed(value)
        elif number == 1 and isinstance(held, int):
            yield _signed(held)


def _signed(value: int) -> int:
    return value - 2**_MOST_BITS if value >> (_MOST_BITS - 1) else value


def _fields(content: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The number and the value of every field."""
    start = 0
    while start < len(content):
        tag, start = _read_varint(content, start)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, start = _read_varint(content, start)
            yield number, value
            continue
        if wire == _LENGTH:
            length, start = _read_varint(content, start)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise ValueError(
                f"it is not a tf.train.Example: byte {start - 1} has the wire type {wire}"
            )
        if start + length > len(content):
            raise ValueError(
                "it is not a tf.train.Example or is cut off: a field ends at byte "
                f"{start + length} of {len(content)}"
            )
        yield number, content[start : start + length]
        start += length


def _read_varint(content: bytes, start: int) -> tuple[int, int]:
    """An integer of variable length, and where it ends."""
    value = 0
    for shift in range(0, _MOST_BITS, 7):
        if start >= len(content):
            raise ValueError("it is not a tf.train.Example or is cut off: it ends within a number")
        byte = content[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value % 2**_MOST_BITS, start
    raise ValueError("it is not a tf.train.Example: a number has more than 64 bits")
