"""Makes Swift functions of the snippets in the libraries' documentation, so that the examples' build compiles them.

    tools/snippets.py           write Examples/Sources/Snippets/Snippets.swift
    tools/snippets.py --check   fail if it differs from the documentation

Context.swift beside it declares what snippets use without declaring it, as parameters of their functions.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "Examples/Sources/Snippets/Snippets.swift"
# The names that a snippet may use, and their types.
PARAMETERS = {
    "socket": "WebSocket", "routing": "inout Routing", "status": "any Handler", "files": "any Handler",
    "others": "any Handler", "logger": "Logger", "chain": "[UInt8]", "key": "[UInt8]", "server": "HTTPServer",
    "chunks": "AsyncStream<[UInt8]>", "stream": "any ByteStream",
}


def snippets():
    """The snippets, each with its place."""
    articles = sorted(ROOT.glob("Sources/*/*.docc/*.md"))
    comments = sorted(path for path in ROOT.glob("Sources/WSTransport*/**/*.swift") if "```swift" in path.read_text())
    for path in articles + comments:
        text = path.read_text()
        if path.suffix == ".swift":
            text = "\n".join(re.sub(r"^\s*/// ?", "", line) for line in text.splitlines() if "///" in line)
        for number, code in enumerate(re.findall(r"```swift\n(.*?)```", text, re.DOTALL), 1):
            yield path.stem, number, code


def made():
    """The text of the file."""
    parts = [
        "// Made by tools/snippets.py of the snippets in the documentation: change those.",
        "", "import Logging", "import ServiceLifecycle", "import Synchronization", "import WSTransport",
        "import WSTransportCoding", "import WSTransportServices", "import WSTransportTesting", ""]
    for article, number, code in snippets():
        code = re.sub(r"^import .*\n", "", code, flags=re.MULTILINE)
        used = [name for name in PARAMETERS if re.search(rf"\b{name}\b", code)]
        parameters = ", ".join(f"_ {name}: {PARAMETERS[name]}" for name in used)
        name = f"{article[0].lower()}{article[1:]}{number}".replace("wSTransport", "overview")
        name = re.sub(r"\W", "", name)
        parts += [f"func {name}({parameters}) async throws {{", "do {", code.rstrip(), "}", "}", ""]
    text = "\n".join(parts)
    return subprocess.run(["swift", "format", "format"], input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    wanted = made()
    if sys.argv[1:] != ["--check"]:
        TARGET.write_text(wanted)
    elif TARGET.read_text() != wanted:
        sys.exit(f"{TARGET} is not what the documentation says: run tools/snippets.py")
