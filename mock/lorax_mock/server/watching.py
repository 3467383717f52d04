"""What the page of `/_mock/` is told while it is open, and only then.

While no page is open, this keeps nothing and costs a look at `open` for each request and each turn of the shard. While
one is, every page has a bounded queue of events, and the last answers are kept with the times of their tokens.

Events are mappings with a `kind`, times in the shard's virtual milliseconds:

* `began`, `ended`: a request of the journal (`row`); `refused`: one that never came so far
* `arrived`: a sequence came to the shard (`job`); `left`: it went without its end
* `spent`: what the shard did, from when to when (`Span`); `done`: the times of a finished sequence
* `renewed`: the shard is a new one; `missed`: so many events were dropped, because the page was too slow
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lorax_mock.scripting.journal import Entry
from lorax_mock.server.ticket import Ticket
from lorax_mock.shard.jobs import Done, Job, Span, Step
from lorax_mock.shard.timing import timing_of
from lorax_mock.wire.native import Generated

__all__ = ["Answer", "Page", "Watching", "done_event", "row", "span_event"]

Event = dict[str, Any]

_EVENTS: Final = 5_000
"""Events that wait for a page that is slow; older ones are dropped, which it is told."""

_ANSWERS: Final = 200
"""Answers that are kept with their tokens."""

_SEQUENCES: Final = 1_000
"""Sequences whose tokens' times are kept."""

_PREVIEW: Final = 160
"""Characters of a prompt in a row."""


def row(entry: Entry) -> Event:
    """A request of the journal as the page's list has it."""
    asked = entry.request.parameters
    merged = () if asked.merged_adapters is None else asked.merged_adapters.ids
    return {
        "serial": entry.serial,
        "number": entry.number,
        "session": entry.session,
        "path": entry.path,
        "adapter": asked.adapter_id or "+".join(merged),
        "prompt": entry.request.inputs[-_PREVIEW:],
        "at": entry.at,
        "outcome": entry.outcome,
        "status": entry.status,
        "error_type": entry.error_type,
        "tokens": entry.tokens,
        "rule": entry.rule,
        "fault": entry.fault,
        "notes": entry.notes,
    }


def span_event(span: Span) -> Event:
    """An operation of the shard."""
    return {
        "kind": "spent",
        "what": span.kind,
        "start": span.start,
        "end": span.end,
        "adapter": span.adapter,
        "jobs": span.jobs,
        "steps": span.steps,
    }


def done_event(done: Done) -> Event:
    """A finished sequence."""
    return {
        "kind": "done",
        "id": done.job.id,
        "at": done.job.at,
        "adapter": done.job.adapter,
        "prompt": done.job.prompt,
        "tokens": done.job.tokens,
        "started": done.started,
        "first": done.first,
        "finished": done.finished,
    }


@dataclass(slots=True)
class Answer:
    """The sequences of a request, and where each of them is."""

    sequences: Sequence[Generated]
    tickets: Sequence[Ticket]
    scripted: bool
    """Whether a script's pace times it, off the shard."""


@dataclass(slots=True)
class _Progress:
    """When a sequence came to the shard, and how long after that each of its tokens was there."""

    at: float
    times: list[float] = field(default_factory=list)


class Page:
    """One open page: the events that it has not been told."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=_EVENTS)
        self._missed = 0
        self.news = asyncio.Event()
        """Set while there is something to tell."""

    def add(self, event: Event) -> None:
        """Keep an event until it is taken."""
        self._missed += len(self._events) == _EVENTS
        self._events.append(event)
        self.news.set()

    def take(self) -> list[Event]:
        """All events that wait, oldest first."""
        events = list(self._events)
        if self._missed:
            events.insert(0, {"kind": "missed", "count": self._missed})
        self._events.clear()
        self._missed = 0
        self.news.clear()
        return events


class Watching:
    """The open pages, and what is kept for them."""

    def __init__(self) -> None:
        self.open = False
        """Whether anybody watches; whoever has something to tell looks here first."""

        self._pages: list[Page] = []
        self._answers: dict[int, Answer] = {}
        self._progress: dict[int, _Progress] = {}
        """By the number of the job."""

    def enter(self) -> Page:
        """A new page, which is told what happens from now on."""
        page = Page()
        self._pages.append(page)
        self.open = True
        return page

    def leave(self, page: Page) -> None:
        """Forget a page, and with the last one everything."""
        self._pages.remove(page)
        if not self._pages:
            self.open = False
            self._answers.clear()
            self._progress.clear()

    def _tell(self, event: Event) -> None:
        for page in self._pages:
            page.add(event)

    # requests

    def began(self, entry: Entry) -> None:
        """Tell a request that the journal has got."""
        self._tell({"kind": "began", **row(entry)})

    def answering(
        self,
        serial: int,
        sequences: Sequence[Generated],
        tickets: Sequence[Ticket],
        *,
        scripted: bool,
    ) -> None:
        """Keep what a request is answered with."""
        while len(self._answers) >= _ANSWERS:
            del self._answers[next(iter(self._answers))]
        self._answers[serial] = Answer(sequences, tickets, scripted)

    def ended(self, entry: Entry) -> None:
        """Tell how a request ended, and its times if they are known."""
        answer = self._answers.get(entry.serial)
        done = None if answer is None else answer.tickets[0].done
        times: Event = {}
        if done is not None:
            timing = timing_of(done)
            decoded = done.job.tokens - 1
            times = {
                "queue": timing.queue,
                "first": timing.queue + timing.first_token,
                "step": (done.finished - done.first) / decoded if decoded else None,
            }
        self._tell({"kind": "ended", **row(entry), **times})

    def refused(self, path: str, status: int, text: str) -> None:
        """Tell a request that was refused before the journal had it."""
        self._tell({"kind": "refused", "path": path, "status": status, "text": text[:300]})

    def answer(self, serial: int) -> list[Event] | None:
        """The sequences of a request with their tokens; None if nobody watched when it was answered."""
        answer = self._answers.get(serial)
        if answer is None:
            return None
        return [
            {
                "text": sequence.text,
                "finish_reason": sequence.finish_reason.value,
                "prompt_tokens": sequence.prompt_tokens,
                "seed": sequence.seed,
                "scripted": answer.scripted,
                "tokens": [
                    {
                        "id": token.id,
                        "text": token.text,
                        "logprob": token.logprob,
                        "special": token.special,
                    }
                    for token in sequence.tokens
                ],
                "times": self._token_times(ticket, len(sequence.tokens), answer.scripted),
            }
            for sequence, ticket in zip(answer.sequences, answer.tickets, strict=True)
        ]

    def _token_times(self, ticket: Ticket, count: int, scripted: bool) -> list[float]:  # noqa: FBT001 - a field's value
        """Milliseconds from the arrival to each token that is there."""
        if not scripted:
            progress = self._progress.get(ticket.number)
            return [] if progress is None else progress.times
        done = ticket.done
        if done is None:
            return []
        step = (done.finished - done.first) / (count - 1) if count > 1 else 0.0
        return [done.first + step * place for place in range(count)]

    # the shard

    def arrived(self, job: Job, serial: int) -> None:
        """Tell a sequence that the shard has got, and of which request it is (0: of a probe)."""
        while len(self._progress) >= _SEQUENCES:
            del self._progress[next(iter(self._progress))]
        self._progress[job.id] = _Progress(job.at)
        self._tell(
            {
                "kind": "arrived",
                "id": job.id,
                "serial": serial,
                "at": job.at,
                "adapter": job.adapter,
                "prompt": job.prompt,
                "tokens": job.tokens,
            }
        )

    def stepped(self, step: Step, adapter: str | None, now: float) -> None:
        """Tell what the shard did until `now`, for which adapter if it was one's load."""
        length = step.milliseconds * max(step.steps, 1)
        span = Span(step.kind, now - length, now, adapter, step.jobs, step.steps)
        if step.kind != "drop":
            self._tell(span_event(span))
        for number in step.jobs:
            progress = self._progress.get(number)
            if progress is not None:
                first = now - step.milliseconds * (step.steps - 1) - progress.at
                progress.times += [first + step.milliseconds * place for place in range(step.steps)]
        for done in step.done:
            self._tell(done_event(done))
        gone = [*step.dropped]
        for failed in step.failed:
            gone += [*failed.jobs, *failed.decoding]
        self.left(gone, now)

    def spent(self, spans: Iterable[Span]) -> None:
        """Tell what the shard did outside of its steps: a load that failed."""
        for span in spans:
            self._tell(span_event(span))

    def left(self, numbers: Sequence[int], now: float) -> None:
        """Tell sequences that went without their end."""
        if numbers:
            self._tell({"kind": "left", "ids": numbers, "at": now})

    def renewed(self) -> None:
        """Tell that the shard is a new one."""
        self._progress.clear()
        self._tell({"kind": "renewed"})
