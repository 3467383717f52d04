"""LoRAX's schema compiler as a child process: one JSON request a line, one JSON answer a line.

It does what `OutlinesLogitsProcessor.compile_fsm` does up to the model's vocabulary
(server/lorax_server/utils/logits_process.py:570): outlines spells the schema as a regular
expression, interegular builds its automaton and minimises it. Then it walks the automaton at random
to sample texts that a model could write, or says whether it accepts given ones. Asked for a
vocabulary, it goes on as LoRAX does and notes which tokens fit in each state, and the texts are
those that a model of that vocabulary could write. A recursive schema ends this process, and that is
why it is one.

Two programs spell schemas. LoRAX's image has outlines 0.1.1 (server/requirements.txt:88), whose
`build_regex_from_schema` is Python of its own; every later outlines leaves that to outlines-core,
in Rust (and LoRAX cannot import it from there yet). The first is asked. The second must say the
same, or something that its automaton cannot tell from it, so that nothing that is sent hangs on a
quirk of either.
"""

import base64
import json
import random
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import distribution
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import interegular
from interegular.fsm import FSM, anything_else
from outlines_core.fsm.json_schema import build_regex_from_schema as spelled_in_rust

# How deep LoRAX's own calls stand when it compiles is not known; a tenth of what Python allows.
MOST_CALLS = 900
# What stands for "any other character" in a sample: two to four bytes, separators, DEL.
OTHERS = "é世😀\u2028\x7f\x9f ~"


def outlines_speller() -> Callable[[str], str]:
    """`outlines.fsm.json_schema.build_regex_from_schema`, without torch and all else around it.

    The module is loaded from its file: `import outlines` imports every model library there is.
    """
    path = distribution("outlines").locate_file("outlines/fsm/json_schema.py")
    spec = spec_from_file_location("outlines_fsm_json_schema", str(path))
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    speller: Callable[[str], str] = module.build_regex_from_schema
    return speller


spelled = outlines_speller()


def main() -> None:
    """Answer until the input ends."""
    sys.setrecursionlimit(MOST_CALLS)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = compiled(request)
        except Exception as error:  # noqa: BLE001 - whatever the compiler raises is its answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def compiled(request: dict[str, Any]) -> dict[str, Any]:
    """Compile a schema; sample texts, judge texts."""
    # LoRAX's caller names no white space pattern: at most one space.
    expression = spelled(json.dumps(request["schema"]))
    other = spelled_in_rust(json.dumps(plain_numbers(request["schema"])), None)
    begun = time.process_time()
    automaton = interegular.parse_pattern(expression).to_fsm().reduce()
    seconds = time.process_time() - begun
    if "vocabulary" in request:
        return indexed(automaton, request) | {"regex": expression, "seconds": seconds}
    distances = distances_to_end(automaton.map, automaton.finals)
    return {
        "regex": expression,
        "agreed": agreed(spelled(json.dumps(plain_numbers(request["schema"]))), other),
        "seconds": seconds,
        "states": len(automaton.states),
        "samples": [
            sample(automaton, distances, random.Random(seed).random)
            for seed in request.get("seeds", ())
        ],
        "accepted": [automaton.accepts(text) for text in request.get("texts", ())],
    }


def plain_numbers(schema: Any) -> Any:
    """A schema without the numbers that the spellers write in two right ways: 1e-05, 0.00001."""
    match schema:
        case dict():
            return {key: plain_numbers(value) for key, value in schema.items()}
        case list():
            return [plain_numbers(value) for value in schema]
        case float() if "e" in repr(schema):
            return 0.5
        case _:
            return schema


def agreed(one: str, other: str) -> bool:
    """Whether two expressions are one, or match the same texts."""
    if one == other:
        return True
    automata = [interegular.parse_pattern(each).to_fsm().reduce() for each in (one, other)]
    return bool(automata[0].symmetric_difference(automata[1]).empty())


def indexed(automaton: FSM, request: dict[str, Any]) -> dict[str, Any]:
    """Try a vocabulary in every state; sample what a model of it could write."""
    from outlines_core.fsm.regex import (
        create_fsm_index_tokenizer,
        make_byte_level_fsm,
        make_deterministic_fsm,
        reduced_vocabulary,
    )

    # Beside this file, which runs as a program.
    from vocabularies import tokenizer

    tokens = tokenizer(request["vocabulary"])
    # LoRAX does this once.
    texts, _ = reduced_vocabulary(tokens)
    before, begun = megabytes(), time.process_time()
    final, _ = make_deterministic_fsm(make_byte_level_fsm(automaton, keep_utf8=True))
    index, _ = create_fsm_index_tokenizer(final, tokens)
    seconds = time.process_time() - begun
    notes = [len(fitting) for fitting in index.values()]
    spelled_by = {token: text for text, equal in texts.items() for token in equal}
    # The end of the text is no character of it.
    moves = {
        state: {token: to for token, to in fitting.items() if token != tokens.eos_token_id}
        for state, fitting in index.items()
    }
    distances = distances_to_end(moves, final.finals)
    return {
        "index_seconds": seconds,
        "states": len(index),
        "wide": sum(count > len(tokens.vocabulary) / 4 for count in notes),
        "notes": sum(notes),
        "megabytes": megabytes() - before,
        "stuck": sum(state not in distances for state in moves),
        "samples": [
            base64.b64encode(
                written(moves, final, distances, spelled_by, random.Random(seed).random)
            ).decode()
            for seed in request.get("seeds", ())
        ],
    }


def megabytes() -> float:
    """The most that this process has had in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def written(
    moves: dict[int, dict[int, int]],
    final: FSM,
    distances: dict[int, int],
    spelled_by: dict[int, str],
    draw: Callable[[], float],
) -> bytes:
    """What one model writes: any token that may follow, and the shortest way home in the end."""
    text = b""
    state = final.initial
    for step in range(200):
        fitting = {token: to for token, to in moves.get(state, {}).items() if to in distances}
        wander = draw() < 0.9**step
        if state in final.finals and (not fitting or not wander):
            return text
        if not wander:
            nearest = min(distances[to] for to in fitting.values())
            fitting = {token: to for token, to in fitting.items() if distances[to] == nearest}
        targets = sorted(set(fitting.values()))
        target = targets[int(draw() * len(targets))]
        choices = sorted(token for token, to in fitting.items() if to == target)
        text += bytes_of(spelled_by[choices[int(draw() * len(choices))]])
        state = target
    raise ValueError("no end in sight")


def bytes_of(text: str) -> bytes:
    """A token's bytes: outlines-core writes one beyond ASCII as a zero and two digits."""
    return re.sub(
        b"\x00([89A-F][0-9A-F])", lambda found: bytes.fromhex(found[1].decode()), text.encode()
    )


def distances_to_end(
    automaton: Mapping[Any, Mapping[Any, Any]], finals: Iterable[Any]
) -> dict[Any, int]:
    """How many steps each state is from an accepting one."""
    before: dict[Any, set[Any]] = {}
    for state, moves in automaton.items():
        for following in moves.values():
            before.setdefault(following, set()).add(state)
    distances = dict.fromkeys(finals, 0)
    edge = list(finals)
    while edge:
        following = edge.pop(0)
        for state in before.get(following, ()):
            if state not in distances:
                distances[state] = distances[following] + 1
                edge.append(state)
    return distances


def sample(automaton: FSM, distances: dict[Any, int], draw: Callable[[], float]) -> str:
    """One text, wandering at first and heading for the end later."""
    text: list[str] = []
    state = automaton.initial
    # what the expression names is none of the others: a class without white space names the space
    others = [each for each in OTHERS if each not in automaton.alphabet] or ["\ue000"]
    while True:
        moves = {
            symbol: following
            for symbol, following in automaton.map.get(state, {}).items()
            if following in distances
        }
        wander = draw() < 0.97 ** (len(text) / 4)
        if state in automaton.finals and (not moves or not wander):
            return "".join(text)
        if not wander:
            nearest = min(distances[following] for following in moves.values())
            moves = {s: f for s, f in moves.items() if distances[f] == nearest}
        # First where to go, then how: else the plain characters of a string crowd out its quote.
        targets = sorted(set(moves.values()))
        state = targets[int(draw() * len(targets))]
        keys = sorted(symbol for symbol, following in moves.items() if following == state)
        symbols = sorted(map(str, automaton.alphabet.by_transition[keys[int(draw() * len(keys))]]))
        symbol = symbols[int(draw() * len(symbols))]
        text.append(others[int(draw() * len(others))] if symbol == str(anything_else) else symbol)


if __name__ == "__main__":
    main()
