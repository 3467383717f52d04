"""`lorax_proxy.core.tools.grammar`: tools and a choice become one grammar, or a refusal by path."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.schema.cost import compile_cost
from lorax_proxy.core.schema.lowered import FREE_OBJECT, MOST, SchemaRefused
from lorax_proxy.core.schema.strings import Spelling, free
from lorax_proxy.core.tools import grammar as grammars
from lorax_proxy.core.tools import reader
from lorax_proxy.core.tools.grammar import (
    Allowed,
    Auto,
    Choice,
    FunctionTool,
    Named,
    NoTools,
    Required,
    ToolGrammar,
    tool_grammar,
)

CITY = {"type": "object", "properties": {"city": {"type": "null"}}, "required": ["city"]}
LOWERED_CITY = {**CITY, "additionalProperties": False}
RECURSIVE = {"type": "object", "properties": {"again": {"$ref": "#"}}}
TEXT = {"type": "string", "pattern": free(Spelling.FULL)}
NOTHING = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def tool(
    name: str, parameters: Any = None, *, strict: bool = False, path: str = ""
) -> FunctionTool:
    """A function without a description."""
    if not path:
        return FunctionTool(name, None, parameters, strict)
    return FunctionTool(name, None, parameters, strict, path)


def call(names: list[str], arguments: Any) -> dict[str, Any]:
    """The form of a call."""
    return {
        "type": "object",
        "properties": {"name": {"enum": names}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def made(choice: Choice, *functions: FunctionTool, parallel: bool = True) -> ToolGrammar:
    """The grammar, where there is one."""
    grammar = tool_grammar(functions, choice, parallel=parallel)
    assert grammar is not None
    return grammar


def several(one: Any) -> dict[str, Any]:
    """One or more."""
    return {"type": "array", "items": one, "minItems": 1}


def single(one: Any) -> dict[str, Any]:
    """Exactly one."""
    return {"type": "array", "prefixItems": [one], "items": False, "minItems": 1}


# choice, parallel -> schema, names, text
WEATHER, NOW = tool("weather", CITY), tool("now")
BOTH = {"anyOf": [call(["weather"], LOWERED_CITY), call(["now"], NOTHING)]}
CHOICES: list[tuple[Choice, bool, Any, set[str], bool]] = [
    (Auto(), True, {"anyOf": [TEXT, several(BOTH)]}, {"weather", "now"}, True),
    (Auto(), False, {"anyOf": [TEXT, single(BOTH)]}, {"weather", "now"}, True),
    (Required(), True, several(BOTH), {"weather", "now"}, False),
    (Required(), False, single(BOTH), {"weather", "now"}, False),
    (Named("now"), True, several(call(["now"], NOTHING)), {"now"}, False),
    (Named("weather"), False, single(call(["weather"], LOWERED_CITY)), {"weather"}, False),
    (
        Allowed(("now",), "auto"),
        False,
        {"anyOf": [TEXT, single(call(["now"], NOTHING))]},
        {"now"},
        True,
    ),
    (Allowed(("weather", "now"), "required"), True, several(BOTH), {"weather", "now"}, False),
]


@pytest.mark.parametrize(("choice", "parallel", "schema", "names", "text"), CHOICES)
def test_a_choice_makes_its_grammar(
    *, choice: Choice, parallel: bool, schema: Any, names: set[str], text: bool
) -> None:
    """Text only where it may be, only the functions chosen, and as many calls as are allowed."""
    grammar = made(choice, WEATHER, NOW, parallel=parallel)
    assert grammar.schema == schema
    assert grammar.form == reader.Form(frozenset(names), text=text, parallel=parallel)
    assert grammar.dropped == ()


def test_no_tools_need_no_grammar() -> None:
    """Neither `none` nor an empty list constrains the answer."""
    assert tool_grammar([WEATHER], NoTools(), parallel=True) is None
    assert tool_grammar([], Auto(), parallel=True) is None


def test_the_name_is_written_before_the_arguments() -> None:
    """A stream says which function is called before it knows any argument."""
    grammar = made(Named("weather"), WEATHER)
    assert list(grammar.schema["items"]["properties"]) == ["name", "arguments"]


# tools, choice -> path, reason
REFUSALS: list[tuple[list[FunctionTool], Choice, str, str]] = [
    (
        [WEATHER, NOW],
        Named("x"),
        "tool_choice.function.name",
        "'x' is not among the tools; there are: weather, now",
    ),
    ([], Named("x"), "tool_choice.function.name", "'x' is not among the tools; there are: none"),
    ([WEATHER], Allowed(("weather", "x"), "auto"), "tool_choice.allowed_tools.tools[1]", "'x' is"),
    ([WEATHER], Allowed((), "auto"), "tool_choice.allowed_tools.tools", "must name a tool"),
    ([], Required(), "tool_choice", "'required' needs at least one tool"),
    ([WEATHER, WEATHER], Auto(), "tools[1].function.name", "'weather' is the name of two"),
    ([tool('a"b')], Auto(), "tools[0].function.name", "'a\"b' is no function name"),
    ([tool("")], NoTools(), "tools[0].function.name", "'' is no function name"),
    ([tool("a\n")], Auto(), "tools[0].function.name", "'a\\n' is no function name"),
    ([tool("x" * 65)], Auto(), "tools[0].function.name", "'xxx"),
    (
        [NOW, tool("f", RECURSIVE, strict=True)],
        Auto(),
        "tools[1].function.parameters.properties.again.$ref",
        "'#' refers to itself",
    ),
    (
        [tool("f", {"type": "object", "not": CITY}, strict=True)],
        Auto(),
        "tools[0].function.parameters.not",
        "'not' cannot be enforced",
    ),
    (
        # two subschemas each: the 251st brings them to 502
        [tool(f"f{number}", CITY, strict=True) for number in range(252)],
        Auto(),
        "tools[251].function.parameters",
        "more than 500 subschemas in all tools together",
    ),
    (
        [tool("f", RECURSIVE, strict=True, path="functions[0]")],
        Auto(),
        "functions[0].parameters.properties.again.$ref",
        "'#' refers to itself",
    ),
    (
        [tool("f", {"type": "string"}, strict=True)],
        Auto(),
        "tools[0].function.parameters",
        "its types exclude one another",
    ),
]


@pytest.mark.parametrize(("functions", "choice", "path", "reason"), REFUSALS)
def test_what_no_grammar_can_be_made_of_is_refused_by_path(
    functions: list[FunctionTool], choice: Choice, path: str, reason: str
) -> None:
    """A refusal names the place in the request that its author can mend."""
    with pytest.raises(SchemaRefused) as refused:
        tool_grammar(functions, choice, parallel=True)
    assert refused.value.path == path
    assert refused.value.reason.startswith(reason)


@pytest.mark.parametrize("parameters", [RECURSIVE, {"type": "string"}, {"properties": {'"': {}}}])
def test_a_loose_function_takes_any_object_instead(parameters: Any) -> None:
    """What would be refused is, without strict, an object with nothing promised about it."""
    grammar = made(Required(), tool("f", parameters), NOW)
    assert grammar.schema["items"] == {"anyOf": [call(["f"], FREE_OBJECT), call(["now"], NOTHING)]}
    assert grammar.dropped == ("tools[0].function.parameters",)


def test_functions_alike_share_one_alternative() -> None:
    """Those that take nothing, those that take anything; each that takes its own stands alone."""
    functions = [tool("a"), tool("b", RECURSIVE), tool("c"), tool("d", RECURSIVE), tool("e", CITY)]
    assert made(Required(), *functions).schema["items"] == {
        "anyOf": [
            call(["a", "c"], NOTHING),
            call(["b", "d"], FREE_OBJECT),
            call(["e"], LOWERED_CITY),
        ]
    }


def test_names_have_every_letter_that_openai_allows() -> None:
    """And the dot that some frameworks use for namespaces."""
    name = "Get_Weather-v2.AZaz09"
    assert made(Named(name), tool(name)).form.names == {name}


def test_only_chosen_functions_are_lowered() -> None:
    """A strict function that is not allowed cannot spoil the request."""
    bad = tool("bad", RECURSIVE, strict=True)
    assert made(Named("now"), bad, NOW).form.names == {"now"}


def test_what_a_function_drops_is_named() -> None:
    """By the path of its own parameters, and only for functions in the grammar."""
    score = {"type": "object", "properties": {"x": {"type": "number", "maximum": 9}}}
    grammar = made(Named("b"), tool("a", score), tool("b", score))
    assert grammar.dropped == ("tools[1].function.parameters.properties.x.maximum",)


def many(count: int, width: int, *, strict: bool) -> list[FunctionTool]:
    """Functions that share nothing, each with so many required strings."""
    return [
        tool(
            f"tool_{number}",
            {
                "type": "object",
                "properties": {
                    f"value_{number}_{place}": {"type": "string"} for place in range(width)
                },
                "required": [f"value_{number}_{place}" for place in range(width)],
            },
            strict=strict,
        )
        for number in range(count)
    ]


# tools, properties each -> whether several calls, how many functions lost their schema
SIZES = [
    (3, 3, True, 0),
    (10, 5, True, 0),
    (20, 3, True, 0),
    (20, 5, False, 7),
    (20, 10, False, 13),
]


@pytest.mark.parametrize(("count", "width", "parallel", "freed"), SIZES)
def test_a_large_grammar_is_simplified_step_by_step(
    *, count: int, width: int, parallel: bool, freed: int
) -> None:
    """First one call instead of several, then any object instead of the dearest schemas."""
    grammar = made(Auto(), *many(count, width, strict=False))
    assert (grammar.form.text, grammar.form.parallel) == (True, parallel)
    assert len(grammar.dropped) == freed
    assert {*grammar.dropped} <= {f"tools[{place}].function.parameters" for place in range(count)}
    assert len(grammar.form.names) == count
    assert grammar.schema["anyOf"][0]["type"] == "string"
    assert MOST.covers(compile_cost(grammar.schema))


def plainness(count: int, width: int, length: int, *, parallel: bool) -> tuple[str, bool, bool]:
    """Of strict functions with so many strings each: spelling, several calls, lengths kept."""
    functions = many(count, width, strict=True)
    for function in functions:
        assert function.parameters is not None
        for string in function.parameters["properties"].values():
            string.update({"maxLength": length} if length else {})
    try:
        grammar = made(Required(), *functions, parallel=parallel)
    except SchemaRefused:
        return "refused", False, False
    text = repr(grammar.schema)
    spelled = [spelling.name for spelling in Spelling if repr(free(spelling)) in text]
    return (*spelled, "counted")[0], grammar.form.parallel, not grammar.dropped


# parallel, longest string -> each grammar as there is more of functions
LADDERS = [
    (
        True,
        0,
        [
            ("FULL", True, True),
            ("PLANE", True, True),
            ("SHORT", True, True),
            ("SHORT", False, True),
            ("refused", False, False),
        ],
    ),
    (
        False,
        0,
        [
            ("FULL", False, True),
            ("PLANE", False, True),
            ("SHORT", False, True),
            ("refused", False, False),
        ],
    ),
    (
        True,
        16,
        [("counted", True, True), ("SHORT", False, False), ("refused", False, False)],
    ),
]


@pytest.mark.parametrize(("parallel", "length", "ladder"), LADDERS)
def test_a_grammar_gets_plainer_in_one_order(
    *, parallel: bool, length: int, ladder: list[tuple[str, bool, bool]]
) -> None:
    """Rarer escapes go first, then the second call, then lengths; then it is refused."""
    sizes = [*((1, width) for width in range(1, 9)), *((count, 3) for count in range(9, 31))]
    met = [plainness(count, width, length, parallel=parallel) for count, width in sizes]
    assert list(dict.fromkeys(met)) == ladder


def test_the_second_call_goes_before_lengths() -> None:
    """Where one call less is enough, every length is kept."""
    counted = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 2}}}
    kept: list[bool] = []
    for count in range(20, 31):
        functions = [*many(count, 3, strict=True), tool("counted", counted, strict=True)]
        try:
            grammar = made(Required(), *functions)
        except SchemaRefused:
            break
        if not grammar.form.parallel:
            kept.append(not grammar.dropped)
    assert kept
    assert kept[0]


def test_strict_functions_that_are_too_large_together_are_refused() -> None:
    """Their schemas are a promise, so they are not simplified away, whatever else is."""
    for loose in ([], [tool("loose", CITY)]):
        with pytest.raises(SchemaRefused) as refused:
            tool_grammar([*many(20, 10, strict=True), *loose], Auto(), parallel=True)
        assert refused.value.path == "tools"
        assert refused.value.reason == (
            "too many or too large strict functions: LoRAX would stand still while it compiles "
            "their schemas; send fewer of them, or set strict to false"
        )


def test_loose_functions_give_way_to_strict_ones() -> None:
    """The schemas that go are those of functions that are not strict."""
    functions = [*many(20, 8, strict=False)]
    functions[3] = tool("kept", many(1, 8, strict=True)[0].parameters, strict=True)
    grammar = made(Auto(), *functions)
    assert grammar.dropped
    assert "tools[3].function.parameters" not in grammar.dropped


@pytest.mark.parametrize("strict", [True, False])
def test_hundreds_of_wide_functions_are_answered_at_once(*, strict: bool) -> None:
    """Work is bounded: subschemas are counted over all functions together."""
    functions = many(128, 100, strict=strict)
    if strict:
        with pytest.raises(SchemaRefused, match="subschemas in all tools together"):
            tool_grammar(functions, Auto(), parallel=True)
    else:
        grammar = made(Auto(), *functions)
        assert len(grammar.form.names) == 128
        assert MOST.covers(compile_cost(grammar.schema))


@pytest.mark.property
@given(
    st.lists(st.sampled_from([CITY, RECURSIVE, None, {}, {"type": "array"}]), max_size=4),
    st.sampled_from([Auto(), Required(), Named("f0"), Allowed(("f0", "f1"), "auto"), NoTools()]),
    st.tuples(st.booleans(), st.booleans()),
)
def test_any_tools_give_a_grammar_or_a_refusal(
    schemas: list[Any], choice: Choice, flags: tuple[bool, bool]
) -> None:
    """Nothing else is raised, and equal requests give equal grammars."""
    strict, parallel = flags
    functions = [tool(f"f{place}", each, strict=strict) for place, each in enumerate(schemas)]
    try:
        grammar = tool_grammar(functions, choice, parallel=parallel)
    except SchemaRefused as refused:
        assert refused.path.startswith("tool")  # noqa: PT017 - a refusal is a right answer too
    else:
        assert grammar == tool_grammar(functions, choice, parallel=parallel)
        assert (grammar is None) == (isinstance(choice, NoTools) or not functions)


def test_the_readers_names_are_exported_here_too() -> None:
    """One import serves both halves of the translation."""
    assert set(reader.__all__) <= set(grammars.__all__)
