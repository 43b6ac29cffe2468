"""The number of records in the bytes of a CSV file, counted faster than a CSV reader can. Pure."""


class Records:
    """Counts records block by block; wrong if there are quotes inside unquoted text, or escaped by another mark."""

    def __init__(self, quote: str) -> None:
        self.longest = 0
        """Bytes of the longest record, or up to two blocks more."""
        self._quote = quote.encode()
        self._dropped = bytes(byte for byte in range(256) if byte not in self._quote + b"\n")
        self._count = self._open_bytes = 0
        self._is_quoted = False
        self._is_line_start = True

    @property
    def count(self) -> int:
        """Records so far, including a last one without a line end; blank lines do not count."""
        return self._count + (not self._is_line_start)

    def add(self, block: bytes) -> None:
        """Count the records that end in the next block."""
        self._open_bytes += len(block)
        self.longest = max(self.longest, self._open_bytes)
        lines = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block
        while b"\n\n" in lines:
            lines = lines.replace(b"\n\n", b"\n")
        if self._is_line_start:
            lines = lines.removeprefix(b"\n")
        if not lines:
            return
        # Only line ends and quotes are left; between every other pair of quotes is text. Doubled quotes cancel out.
        marks = lines.translate(None, self._dropped)
        pieces = marks.split(self._quote) if self._quote else [marks]
        if ends := sum(map(len, pieces[self._is_quoted :: 2])):
            self._count += ends
            self._open_bytes = len(block)
        self._is_quoted ^= len(pieces) % 2 == 0
        self._is_line_start = not self._is_quoted and lines.endswith(b"\n")
