#!/usr/bin/env python3
"""Makes the Swift tables of the files that the broker serves to browsers.

    tools/web.py            writes them
    tools/web.py --check    reports those that are not current

The text is the source without comments and without the spaces that only people need; it behaves the same.
"""

import hashlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "Sources/Broker/Endpoints/Web"
SCRIPT, TYPES = "text/javascript; charset=utf-8", "application/typescript; charset=utf-8"
STYLE, DOCUMENT = "text/css; charset=utf-8", "text/html; charset=utf-8"
# The source or the sources, the table's name, the content type.
FILES = [
    ("clients/js/client.js", "clientScript", SCRIPT),
    ("clients/js/client-shared.js", "sharedClientScript", SCRIPT),
    ("clients/js/client.d.ts", "clientTypes", TYPES),
    ("clients/console/page.html", "pageDocument", DOCUMENT),
    ("clients/console/page.css", "pageStyle", STYLE),
    # Modules one after the other, which compress better than each alone.
    ("clients/console/page-kit.js clients/console/page-topics.js clients/console/page-admin.js clients/console/page.js", "pageScript", SCRIPT),
]


WORD = re.compile(r"[\w$#]+")
STRING = re.compile(r"""(["'])(?:\\.|(?!\1)[^\\])*\1""")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
PATTERN = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\[])+/\w*")
TEMPLATE = re.compile(r"[`}](?:\\.|\$(?!\{)|[^`\\$])*(?:`|\$\{)", re.S)


# Names of the client that are only functions, variables and parameters, never members: they may become letters.
LOCAL = """shortest longest pause patience stable keyWindow final later mayRepeat closed onAbort offAbort decode fits newest partsOf
Subscription encode textOf report call""".split()
# The same for those of different functions, which may have the same letter: one of each line is used at a time.
SHARED = """
one url names text
entry byte letter level why time wake told kind changed others oldest before isLater part
object act answer isOver last first waiting isOfBroker take command
place socket same show next
idle more map value
all
""".strip().splitlines()
# Members that only the client itself uses; they may become short, too.
MEMBERS = "keeps resumes parts levels begun sent lost left".split()
LITERALS = {"true": "!0", "false": "!1", "Infinity": "1/0", "const": "let"}
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def squeeze(text, short={}):
    """A script without comments, and without the spaces that only people need; text in quotation marks stays.

    The names in `short` become others, unless a dot is before them.
    """
    made, at = "", 0
    # The number of open braces of each open place in a template.
    places = []
    while at < len(text):
        letter = text[at]
        if letter == "`" or (letter == "}" and places and not places[-1]):
            if letter == "}":
                places.pop()
            found = TEMPLATE.match(text, at)
            if found.group().endswith("${"):
                places.append(0)
        elif letter.isspace():
            at += 1
            before, after = made[-1:], text[at:at + 1]
            if (WORD.match(before) and WORD.match(after)) or (before in "+-" and before == after):
                made += " "
            continue
        else:
            found = STRING.match(text, at) or COMMENT.match(text, at) or WORD.match(text, at)
            if not found and letter == "/" and re.search(r"(?:[(,=:\[!&|?{;]|\breturn)$", made):
                found = PATTERN.match(text, at)
            if places:
                places[-1] += {"{": 1, "}": -1}.get(letter, 0)
        piece = found.group() if found else letter
        at += len(piece)
        if COMMENT.fullmatch(piece):
            continue
        if piece in short and (piece in MEMBERS or made[-1:] != "." or made.endswith("...")):
            assert piece in LITERALS or piece in MEMBERS or text[at:at + 1] != ":", f"{piece} is a member"
            piece = short[piece]
        if piece == "}" and made.endswith(";"):
            made = made[:-1]
        made += piece
    return made


def compact(text, type_, local=()):
    """Without comments and the spaces that only people need; private names of scripts are short, and the local ones given."""
    if type_ == TYPES:
        return text
    if type_ == SCRIPT:
        words = set(WORD.findall(squeeze(text)))
        free = iter([name for name in [*LETTERS, *("$" + letter for letter in LETTERS)] if name not in words])
        short = {name: letter for names, letter in zip(local, free) for name in names.split()}
        text = squeeze(text, short | LITERALS if local else {})
        # Only private names are declared or used after a `#` that begins a word.
        for number, name in enumerate(dict.fromkeys(re.findall(r"#([a-z]\w+)\b", text))):
            text = re.sub(rf"#{name}\b", "#" + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[number], text)
        return text
    text = "".join(line.strip() + "\n" for line in text.splitlines() if line.strip())
    return re.sub(r"/\*.*?\*/|(?<=[;:,{}]) | (?=[{}])", "", text, flags=re.S) if type_ == STYLE else text


def table(source, name, type_):
    text = "\n".join((ROOT / path).read_text() for path in source.split())
    if " " in source:
        # In one file, modules need no imports or exports.
        text = re.sub(r'^import .* from "\./page-.*;$|^export ', "", text, flags=re.M)
    text = compact(text, type_, SHARED + LOCAL + MEMBERS if name == "clientScript" else ())
    assert '"""#' not in text and "\\#" not in text, source
    tag = hashlib.sha256(text.encode()).hexdigest()[:20]
    lines = "".join(f"        {line}\n" if line else "\n" for line in text.splitlines())
    return f"""extension WebFile {{
    /// `{source.replace(" ", "`, `")}`, put here by `make web`.
    static let {name} = WebFile("{type_}", tag: "{tag}") {{
        #\"""
{lines}
        \"""#
    }}
}}
"""


def main():
    stale = []
    for source, name, type_ in FILES:
        path = TABLES / f"{name[0].upper()}{name[1:]}.swift"
        made = table(source, name, type_)
        if not path.exists() or path.read_text() != made:
            stale.append(str(path.relative_to(ROOT)))
            if "--check" not in sys.argv:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(made)
    if stale and "--check" in sys.argv:
        sys.exit(f"not current: {', '.join(stale)}. Run `make web`.")


if __name__ == "__main__":
    main()
