"""Stop strings: hold back, cut, and say that generation may end.

LoRAX compares stop strings with the end of its text after each token and leaves them in
(server/lorax_server/utils/tokens.py:150-212): a stop inside a token runs on, and one at its end is
kept. OpenAI promises that a stop string is never in the answer. So they are matched here, character
by character, and the text that could still become one is held back.

Which one wins: the one that is complete first; of several complete at the same character, the
longest. This needs no look-ahead past the match, so it gives the same answer however the text
arrives, and lets the upstream be closed at once.

Each stop string is followed by Knuth, Morris and Pratt's automaton: one number a string says how
much of it the text's end already spells. A step costs constant time on average, whatever the
strings are: a client cannot slow the proxy down with `aaaa...ab`.
"""

from collections.abc import Sequence

__all__ = ["StopCutter"]


class _Matcher:
    """How much of one stop string the text seen so far ends with."""

    __slots__ = ("borders", "matched", "stop")

    def __init__(self, stop: str) -> None:
        self.stop = stop
        self.matched = 0
        # borders[i]: the longest proper prefix of the string that its first i characters end with
        borders = [0, 0]
        length = 0
        for character in stop[1:]:
            while length and stop[length] != character:
                length = borders[length]
            if stop[length] == character:
                length += 1
            borders.append(length)
        self.borders = borders

    def step(self, character: str) -> bool:
        """Take one character; tell whether the string is now complete."""
        matched = self.matched
        stop = self.stop
        while matched and stop[matched] != character:
            matched = self.borders[matched]
        if stop[matched] == character:
            matched += 1
        self.matched = matched
        return matched == len(stop)


class StopCutter:
    """Text in, the text that is certain to stay out.

    Attributes:
        stopped: Whether a stop string was found. Nothing comes out after that.
    """

    __slots__ = ("_firsts", "_held", "_matchers", "stopped")

    def __init__(self, stops: Sequence[str]) -> None:
        """Watch for `stops`, none of them empty."""
        self._matchers = [_Matcher(stop) for stop in dict.fromkeys(stops)]
        self._firsts = tuple({matcher.stop[0] for matcher in self._matchers})
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """Take the next text; return what can no longer be part of a stop string."""
        if self.stopped:
            return ""
        if not self._held:
            # nothing has begun, and most texts begin nothing
            for first in self._firsts:
                if first in text:
                    break
            else:
                return text
        before = len(self._held)
        buffer = self._held + text
        for position, character in enumerate(text, start=before + 1):
            found = 0
            for matcher in self._matchers:
                if matcher.step(character):
                    found = max(found, len(matcher.stop))
            if found:
                self.stopped = True
                self._held = ""
                return buffer[: position - found]
        keep = max(matcher.matched for matcher in self._matchers)
        self._held = buffer[len(buffer) - keep :]
        return buffer[: len(buffer) - keep]

    def finish(self) -> str:
        """The text has ended: what was held back did not become a stop string."""
        held, self._held = self._held, ""
        return held
