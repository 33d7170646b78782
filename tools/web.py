#!/usr/bin/env python3
"""Makes the Swift tables of the files that the broker serves to browsers.

    tools/web.py            writes them
    tools/web.py --check    says which are not current

The text is that of the source without comments and indentation.
"""

import hashlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "Sources/Broker/Endpoints/Web"
SCRIPT, TYPES = "text/javascript; charset=utf-8", "application/typescript; charset=utf-8"
STYLE, DOCUMENT = "text/css; charset=utf-8", "text/html; charset=utf-8"
# The source, the table's name, the content type.
FILES = [
    ("clients/js/client.js", "clientScript", SCRIPT),
    ("clients/js/client-shared.js", "sharedClientScript", SCRIPT),
    ("clients/js/client.d.ts", "clientTypes", TYPES),
    ("clients/console/page.html", "pageDocument", DOCUMENT),
    ("clients/console/page.css", "pageStyle", STYLE),
    ("clients/console/page.js", "pageScript", SCRIPT),
    ("clients/console/page-kit.js", "pageKit", SCRIPT),
    ("clients/console/page-topics.js", "pageOfTopics", SCRIPT),
    ("clients/console/page-admin.js", "pageOfAdministration", SCRIPT),
]


def compact(text, type_):
    """Without comments that have a line of their own, indentation and empty lines; private names of scripts are short."""
    if type_ == TYPES:
        return text
    lines = [line.strip() for line in text.splitlines()]
    text = "".join(line + "\n" for line in lines if line and not line.startswith(("//", "/*")))
    if type_ == SCRIPT:
        # Only private names are declared or used after a `#` that begins a word.
        for number, name in enumerate(dict.fromkeys(re.findall(r"#([a-z]\w+)\b", text))):
            text = re.sub(rf"#{name}\b", "#" + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[number], text)
    return text


def table(source, name, type_):
    text = compact((ROOT / source).read_text(), type_)
    assert '"""#' not in text and "\\#" not in text, source
    tag = hashlib.sha256(text.encode()).hexdigest()[:20]
    lines = "".join(f"        {line}\n" if line else "\n" for line in text.splitlines())
    return f"""extension WebFile {{
    /// `{source}`, put here by `make web`.
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
