"""JSON schemas lowered to the closed subset that LoRAX's constrained decoder compiles.

LoRAX's image turns a schema into a regular expression with outlines 0.1.1's own Python
(server/requirements.txt:88) and that into an automaton with outlines-core 0.1.14, inside the
process that serves every request (server/lorax_server/utils/logits_process.py:569). What the
compiler does not know it ignores, rejects by failing the whole batch, or dies of. So what is sent
is never the client's schema but one written anew from these forms:

    {"type": "object", "properties": {...}, "required": [...], "additionalProperties": false}
    {"type": "object", "additionalProperties": S}       and with "minProperties": 1
    {"type": "array", "items": S}                       and with minItems, maxItems
    {"type": "array", "prefixItems": [S, ...], "items": false, "minItems": n}
    {"type": "string", "pattern": "^(?:...)$"}          over raw JSON text: core.schema.strings
    {"type": "number" | "integer" | "boolean" | "null"}
    {"enum": [scalar, ...]}
    {"anyOf": [S, ...]}

The rule that decides every case: what is lowered admits no value that the original forbids, except
through the keywords that are listed as dropped. Narrowing is silent where it costs a model nothing
it would miss (an object with named properties gets no others; a tuple has all its items); a
constraint that cannot be expressed is dropped and named. With `strict`, keywords that change the
very shape of a value (``not``, ``if``, dependent schemas ...) are refused instead: OpenAI refuses
them there too.

The price of a schema is what it costs to compile, during which every request of the server stands
still. `core.schema.cost` estimates it, and a schema that is too expensive is lowered again more plainly,
level by level, before it is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lorax_proxy.core.schema.cost import Budget, compile_cost
from lorax_proxy.core.schema.effort import Effort, Level, judge_size
from lorax_proxy.core.schema.forms import FREE_OBJECT, JSON_OBJECT
from lorax_proxy.core.schema.lowering import Lowering
from lorax_proxy.core.schema.sites import Impossible, SchemaRefused, Site
from lorax_proxy.core.schema.strings import Spelling

__all__ = [
    "FREE_OBJECT",
    "JSON_OBJECT",
    "LEVELS",
    "MOST",
    "Effort",
    "Level",
    "Lowered",
    "SchemaRefused",
    "lower",
    "lower_at",
]

# What one client may take from all others at its first request; a compiled schema is kept, with 31
# others. LoRAX's own default schema takes 2.4 s to build, 15 to 20 in all with 131,072 tokens. Two
# minutes there are ten seconds with 32,000 tokens, and what 10 functions of 5 strings need: what
# would be refused for less, no client gets at all.
MOST: Final = Budget(building=10.0, seconds=120.0, megabytes=1200)
# Rare escapes are a nicety (every character can be written without them) and not worth as much:
# three quarters of a free string's states are theirs.
NICETY: Final = Budget(building=2.0, seconds=10.0, megabytes=1200)

LEVELS: Final = (
    Level(Spelling.FULL, counts=True, nesting=1, budget=NICETY),
    Level(Spelling.PLANE, counts=True, nesting=1, budget=NICETY),
    Level(Spelling.SHORT, counts=True, nesting=1, budget=MOST),
    Level(Spelling.SHORT, counts=False, nesting=0, budget=MOST),
)


@dataclass(frozen=True, slots=True)
class Lowered:
    """A schema for LoRAX.

    Attributes:
        schema: What to send.
        dropped: The paths of what could not be expressed and was left out, in order.
        size: How many subschemas were looked at.
    """

    schema: Mapping[str, Any]
    dropped: tuple[str, ...]
    size: int = 0


Schema = Mapping[str, Any] | bool


def lower(schema: Schema, *, path: str, strict: bool) -> Lowered:
    """Lower a schema to what LoRAX compiles, at the most exact level that is not too expensive.

    Args:
        schema: As the client wrote it; not changed.
        path: Where it stands in the request, for refusals and for `Lowered.dropped`.
        strict: Refuse keywords that change a value's shape, instead of dropping them.

    Raises:
        SchemaRefused: It cannot be lowered: recursive or remote references, names that cannot be
            spelled, no value that satisfies it, too large; and with `strict` as said above.
    """
    for level in LEVELS:
        lowered = lower_at(schema, path=path, strict=strict, level=level, effort=Effort())
        if level.budget.covers(compile_cost(lowered.schema)):
            return lowered
    raise SchemaRefused(
        path,
        "too large to enforce: LoRAX would stand still while it compiles it; make some of the "
        "properties required, have fewer of them, or nest arrays less",
    )


def lower_at(
    schema: Schema,
    *,
    path: str,
    strict: bool,
    level: Level,
    effort: Effort,
    objects_only: bool = False,
) -> Lowered:
    """Lower a schema at one level, whatever it costs to compile; otherwise as `lower`.

    With `objects_only`, a value must be an object whatever else the schema allows. `effort` is what
    all schemas of the request may take at this level.
    """
    judge_size(schema, path)
    root = Site(schema, path)
    lowering = Lowering(root, level, effort, strict=strict)
    sites = [root, Site({"type": "object"}, path)] if objects_only else [root]
    try:
        lowered = lowering.conjunction(sites, 0)
    except Impossible as impossible:
        raise SchemaRefused(impossible.path, impossible.reason) from impossible
    return Lowered(lowered, tuple(lowering.dropped), lowering.nodes)
