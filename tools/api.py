#!/usr/bin/python3
"""Lists the public declarations of the libraries, and compares them with docs/api.

    tools/api.py FOLDER            compare; exit 1 if they differ
    tools/api.py FOLDER --update   write docs/api

FOLDER has the symbol graphs that tools/docs.sh makes.
"""
import argparse
import json
import pathlib
import sys

PLACE = pathlib.Path(__file__).resolve().parent.parent / "docs/api"
LIBRARIES = ("WSTransport", "WSTransportCoding", "WSTransportServices", "WSTransportTesting")


def declarations(folder, library):
    """One line for each public declaration, in order: its path and how it is declared."""
    lines = set()
    for graph in sorted(folder.glob(f"{library}/*.symbols.json")):
        content = json.loads(graph.read_text())
        names = {symbol["identifier"]["precise"]: ".".join(symbol["pathComponents"]) for symbol in content["symbols"]}
        for relation in content["relationships"]:
            if relation["kind"] == "conformsTo" and relation["source"] in names:
                protocol = names.get(relation["target"]) or relation.get("targetFallback", relation["target"])
                lines.add(f"{names[relation['source']]}\t: {protocol}")
        for symbol in content["symbols"]:
            # Members from the standard library's protocols do not belong to the libraries.
            if symbol["accessLevel"] not in ("public", "open") or "::SYNTHESIZED::" in symbol["identifier"]["precise"]:
                continue
            text = "".join(fragment["spelling"] for fragment in symbol.get("declarationFragments", ()))
            lines.add(f"{'.'.join(symbol['pathComponents'])}\t{' '.join(text.split())}")
    return sorted(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--update", action="store_true", help="write docs/api instead of comparing with it")
    arguments = parser.parse_args()
    changes = []
    for library in LIBRARIES:
        found = declarations(arguments.folder, library)
        if not found:
            sys.exit(f"api: no declarations of {library} in {arguments.folder}")
        file = PLACE / f"{library}.txt"
        if arguments.update:
            PLACE.mkdir(exist_ok=True)
            file.write_text("\n".join(found) + "\n")
            print(f"docs/api/{file.name}: {len(found)} declarations")
            continue
        known = file.read_text().splitlines() if file.exists() else []
        changes += [f"  - {library}: {line}" for line in sorted(set(known) - set(found))]
        changes += [f"  + {library}: {line}" for line in sorted(set(found) - set(known))]
    if changes:
        sys.exit("The public declarations are not those of docs/api. `make api` writes them again. What is gone (-) breaks its users:\n"
                 "say in CHANGELOG.md, under \"Incompatible\", what they have to change.\n" + "\n".join(changes).replace("\t", "  "))


if __name__ == "__main__":
    main()
