"""Text that others chose, such as the names of files, as a line can show it."""


def seen(text: str) -> str:
    """`text` with an escape for every character that cannot be seen.

    A line break would tear a message from its place, a terminal obeys control characters, and the
    bytes of a name that is no UTF-8 cannot be printed.
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
