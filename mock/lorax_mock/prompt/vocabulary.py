"""The built-in vocabulary: bytes, letter pairs, numbers, common words, marks, special tokens.

Ids are positions in a fixed order, so they are as stable as this file. Like a byte-level BPE's
vocabulary it can spell any text: what is in no entry falls apart into bytes. A few entries are
*parts* of characters, as in real vocabularies, where the first bytes of emoji and of CJK characters
are frequent enough to be merged; they are why one character may come as two tokens or as three.
"""

from typing import Final

__all__ = ["SPECIAL", "piece_of", "vocabulary"]

SPECIAL: Final[dict[str, int]] = {
    "<|begin_of_text|>": 128000,
    "<|end_of_text|>": 128001,
    "<|finetune_right_pad_id|>": 128004,
    "<|start_header_id|>": 128006,
    "<|end_header_id|>": 128007,
    "<|eom_id|>": 128008,
    "<|eot_id|>": 128009,
    "<|python_tag|>": 128010,
}
"""Spelling and id of the special tokens, those of the Llama 3.1 family."""

_WORDS = """
a able about above across act add after again against age ago air all almost alone along already
also always am an and animal another answer any anything are area arm around art as ask asked at
away back bad base be bear beautiful because become bed been before began begin behind being believe
below best better between big bird black blue board boat body book both bottom box boy bring brought
build building built business but buy by call called came can cannot capital captain car care carry
case cat catch cause center certain change chapter chart check child children city class clean clear
close cloud code cold color column come common complete computer could country course cover cross
crew cry cup cut dance dark data date day deal dear decide deep did difference different dinner
direct do doctor does dog done door down draw dream drive drop dry during each ear early earth ease
east easy eat egg eight either else end engine enough even evening ever every everything example
explain eye face fact fall family far farm fast father feel feet few field figure fill final find
fine finger finish fire first fish five floor flow flower fly follow food foot for force forest form
found four free fresh friend from front full fun game garden gave general gentle get girl give glad
glass go goes gold gone good got government grass great green ground group grow guess had half hand
hang happen happy hard has hat have he head hear heard heart heat heavy held hello help her here
hers high hill him his history hold home hope horse hot hour house how however human hundred idea if
important in inch index information inside interest into is island issue it item its itself job join
joy jump just keep key kind king knew know known land language large last late later laugh law lay
lead learn least leave left leg length less lesson let letter level life light like line list listen
little live load local long look lost lot love low machine made main make man many map mark market
matter may maybe me mean measure meet men method middle might mile milk mind minute miss model
moment money month moon more morning most mother mountain mouth move much music must my name nation
near need never new next night nine no noise none noon nor north nose not note nothing notice noun
now number object ocean of off office often oh oil old on once one only open or orange order other
our out over own page pair paper parameter part party pass past path pattern pay people perhaps
person picture piece place plain plan plane plant play please point port possible power prepare
present press pretty problem produce program prompt pull push put question quick quiet quite race
rain ran rather reach read ready real reason record red remember reply request rest result return
rich ride right ring rise river road rock room root round row rule run safe said sail same sand sat
save saw say school science sea season seat second see seed seem select self sell send sent sentence
serve server set seven several shall shape share she ship shop short should show side sight sign
silver simple since sing sister sit six size sky sleep slow small snow so soft some something song
soon sort sound south space speak special spell spring square stand star start state stay step still
stone stood stop store story straight strange stream street strong study such sugar summer sun sure
surface system table tail take talk tall teach team tell ten test text than thank that the their
them then there these they thing think this those though thought thousand three through time to
today together token told tone too took top toward town train travel treasure tree trip trouble true
try turn two type under unit until up upon us use used user usual valley value very view village
visit voice wait walk wall want war warm was wash watch water wave way we wear weather week well
went were west what wheel when where whether which while white who whole whose why wide wife wild
will wind window winter wish with within without woman women wonder wood word work world would write
written wrong yard year yellow yes yet you young your
adapter adapters alpha beta demo echo engine haiku lora lorax mock persona pirate poet rank shard
sql support weights
ly ing ed er est tion sion ment ness able ible ful less ous ive ize ise ist ism ity al ic ual ance
ence ant ent ter ver per con com pro pre dis mis over under inter trans
""".split()  # noqa: SIM905 - as a list it would be a column of 900 lines

_MARKS = [
    "\n\n", "\n\n\n", "  ", "    ", "        ", " \n", "...", "--", "---", "==", "!=", "->", "=>",
    "::", "//", "/*", "*/", "**", "{\"", "\":", "\",", "\"}", "\"]", "[\"", " \"", " {\"", "\": ",
    "\", \"", "},", " {", " }", " [", " ]", " (", ").", "),", ");", "?\"", ".\"", ".\n", ".\n\n",
    ":\n", ":\n\n", ",\n", ";\n", " -", " =", " <", " >", " *", " +", " |", " &", "`", "```",
    "'s", "'t", "'re", "'ve", "'m", "'ll", "'d", " `", "’s", "“", "”", "’", "—", "–", "…",
]  # fmt: skip

_FRAGMENTS = [
    b"\xf0\x9f", b"\xf0\x9f\x98", b"\xf0\x9f\x8c", b"\xf0\x9f\x9a", b" \xf0\x9f",
    b"\xe2\x80", b"\xe2\x82", b"\xe3\x81", b"\xe3\x82", b"\xe4\xb8", b"\xe4\xba", b"\xe5\xa4",
    b"\xe6\x97", b"\xe7\x9a", b"\xe8\xaf", b"\xec\x9d", b"\xd0", b"\xd1",
    "é".encode(), "è".encode(), "ü".encode(), "ö".encode(), "ä".encode(), "ñ".encode(),
    "ç".encode(), "à".encode(), "。".encode(), "，".encode(), "的".encode(), "の".encode(),
]  # fmt: skip


def vocabulary() -> list[bytes]:
    """Every ordinary token's bytes, its id being its place."""
    entries: dict[bytes, None] = dict.fromkeys(bytes([byte]) for byte in range(256))
    letters = "abcdefghijklmnopqrstuvwxyz"
    for first in letters:
        entries[f" {first}".encode()] = None
        entries[f" {first.upper()}".encode()] = None
        for second in letters:
            entries[(first + second).encode()] = None
            entries[(first.upper() + second).encode()] = None
            entries[f" {first}{second}".encode()] = None
    for number in range(100):
        entries[f"{number:02}".encode()] = None
    for number in range(1000):
        entries[f"{number:03}".encode()] = None
    for word in _WORDS:
        for spelling in (word, word.capitalize(), f" {word}", f" {word.capitalize()}"):
            entries[spelling.encode()] = None
    for mark in _MARKS:
        entries[mark.encode()] = None
    for fragment in _FRAGMENTS:
        entries[fragment] = None
    return list(entries)


def _byte_alphabet() -> dict[int, str]:
    """The printable stand-in that byte-level vocabularies write for each byte.

    Printable Latin-1 stands for itself; the rest is moved up behind U+0100, in order. So a space
    shows as `Ġ` and a line feed as `Ċ`.
    """
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {byte: chr(byte) for byte in shown}
    hidden = (byte for byte in range(256) if byte not in table)
    table.update({byte: chr(0x100 + place) for place, byte in enumerate(hidden)})
    return table


_ALPHABET: Final = _byte_alphabet()


def piece_of(token: bytes) -> str:
    """A token as its vocabulary file would show it, e.g. `Ġthe`."""
    return "".join(_ALPHABET[byte] for byte in token)
