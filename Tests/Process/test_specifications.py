"""docs/http.yaml and docs/ws.yaml against the sources and a running broker: an addition that is not documented fails here."""

import json
import re

import pytest
import yaml

from broker_process import free_port
from command_line import REPOSITORY
from protocol_page import PLACEHOLDERS, Receive, Send, examples
from raw_websocket import RefusedHandshake

HTTP = yaml.safe_load((REPOSITORY / "docs/http.yaml").read_text())
WS = yaml.safe_load((REPOSITORY / "docs/ws.yaml").read_text())
PAGE = (REPOSITORY / "docs/protocol.md").read_text()
SOURCES = {path: path.read_text() for path in sorted((REPOSITORY / "Sources/Broker").rglob("*.swift"))}
METHODS = {"get", "put", "post", "delete", "head", "options", "patch"}


def resolve(document, node):
    while "$ref" in node:
        found = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/")]
        node = found
    return node


def references(node):
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from references(item)


def source_with(declaration):
    (text,) = [text for text in SOURCES.values() if declaration in text]
    return text


def error_codes():
    """The codes of the source, and their HTTP statuses: {code: status}."""
    text = source_with("enum ErrorCode")
    names = dict(re.findall(r"^    case `?(\w+)`?(?: = \"([\w-]+)\")?$", text, re.MULTILINE))
    statuses = {}
    for cases, status in re.findall(r"^        case (\.[^:]*): (\d{3})$", text, re.MULTILINE):
        statuses.update({name: int(status) for name in re.findall(r"\.(\w+)", cases)})
    return {word or name: statuses[name] for name, word in names.items()}


def rows(heading, columns=2):
    """The first cells of the first table after a heading of the page."""
    table = re.split(rf"^#+ {re.escape(heading)}$", PAGE, maxsplit=1, flags=re.MULTILINE)[1]
    lines = re.search(r"((?:^\|.*\n)+)", table, re.MULTILINE)[1].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")][:columns] for line in lines]


def query_parameters(method, path):
    item = HTTP["paths"][path]
    declared = [resolve(HTTP, parameter) for parameter in item[method].get("parameters", [])]
    return {parameter["name"] for parameter in declared if parameter["in"] == "query"}


@pytest.mark.parametrize("document", [HTTP, WS], ids=["http", "ws"])
def test_every_reference_resolves(document):
    found = list(references(document))
    assert len(found) > 20
    for reference in found:
        resolve(document, {"$ref": reference})


# Routes and parameters


@pytest.fixture
def whole(start_broker):
    """A broker that has every path."""
    port = free_port()
    return start_broker(f"listen: [{{ address: 127.0.0.1:{port}, admin: true }}]\n", port=port, configured_listen=True)


def test_every_route_is_described():
    routes = {
        route for text in SOURCES.values() for route in re.findall(r'exactly: "([^"]+)"', text)}
    assert {"/ws", "/t/*", "/s/*"} <= routes
    assert {re.sub(r"\{\w+\}", "*", path) for path in HTTP["paths"]} == routes
    channels = {re.sub(r"\{\w+\}", "*", channel["address"]) for channel in WS["channels"].values()}
    assert channels == {"/ws", "/t/*", "/s/*"}


@pytest.mark.parametrize("path", HTTP["paths"])
def test_the_methods_of_each_path_match(whole, path):
    answer = whole.http("PATCH", path.replace("{topic}", "a").replace("{filter}", "a"))
    assert answer.status == 405
    described = {method.upper() for method in METHODS & set(HTTP["paths"][path])}
    if "GET" in described:
        described.add("HEAD")
    assert set(answer.headers["Allow"].split(", ")) == described | {"OPTIONS"}


def accepted_parameters(answer):
    """The list in the error about an unknown parameter."""
    listed = re.fullmatch(r'Unknown query parameter "[^"]*"; expected (.*)\.', answer["message"])
    return set(listed[1].split(", ")) - {"none"}


@pytest.mark.parametrize(
    "method, path",
    [(method, path) for path, item in HTTP["paths"].items() for method in METHODS & set(item)
     if not path.startswith(("/page", "/ws")) and path != "/"])
def test_the_query_parameters_of_each_request_match(whole, method, path):
    target = path.replace("{topic}", "a").replace("{filter}", "a")
    answer = whole.http(method.upper(), f"{target}?QQQQQQQQQQQQ=1")
    assert answer.status == 400
    assert accepted_parameters(answer.json["error"]) == query_parameters(method, path)


@pytest.mark.parametrize("channel", WS["channels"].values(), ids=lambda channel: channel["address"])
def test_the_query_parameters_of_each_websocket_match(broker, channel):
    path = channel["address"].replace("{topic}", "a").replace("{filter}", "a")
    with pytest.raises(RefusedHandshake) as refused:
        broker.websocket(f"{path}?QQQQQQQQQQQQ=1")
    described = channel.get("bindings", {}).get("ws", {}).get("query", {}).get("properties", {})
    assert accepted_parameters(json.loads(refused.value.body)["error"]) == set(described)


# Codes


def test_every_error_code_is_described():
    codes = error_codes()
    assert len(codes) > 10
    assert HTTP["components"]["schemas"]["code"]["enum"] == list(codes)
    assert WS["components"]["schemas"]["code"]["enum"] == list(codes)
    listed = {code.strip("`"): int(status) for code, status in rows("Error codes")}
    assert listed == codes


def test_every_status_of_a_refusal_is_described():
    library = (REPOSITORY / "Sources/WSTransport").rglob("*.swift")
    served = [path.read_text() for path in library if "/HTTP/" in str(path) or path.name.startswith("Handshake")]
    named = re.findall(
        r"HTTPRefusal\(\s*status: (\d{3})|^ +case \.[\w, .]+: (4\d\d|5\d\d)$",
        "\n".join([*SOURCES.values(), *served]), re.MULTILINE)
    statuses = {int(first or second) for first, second in named}
    assert {415, 421, 426} <= statuses
    section = PAGE.split("## Error codes", 1)[1].split("## Close codes", 1)[0]
    assert statuses <= {int(number) for number in re.findall(r"\b[45]\d\d\b", section)}


def test_every_close_code_is_described():
    described = {int(code) for row in rows("Close codes", 1) for code in re.findall(r"\d{4}", row[0])}
    text = "\n".join(SOURCES.values())
    own = {int(code) for code in re.findall(r"CloseCode\(rawValue: (\d{4})\)", text)}
    assert {4400, 4429} <= own
    library = (REPOSITORY / "Sources/WSTransport/Protocol/CloseCode.swift").read_text()
    numbers = {name: int(code) for name, code in re.findall(r"static let (\w+) = CloseCode\(rawValue: (\d+)\)", library)}
    violations = (REPOSITORY / "Sources/WSTransport/Protocol/ProtocolViolation.swift").read_text()
    used = {numbers[name] for name in re.findall(r"\.(\w+)", text + violations) if name in numbers}
    # `.normal` is the client's own.
    assert own | used <= described | {1000, 1001}
    assert described - {1000} <= own | set(numbers.values())


# Operations and members


def messages(action):
    operation = next(
        item for item in WS["operations"].values()
        if item["action"] == action and item["channel"]["$ref"].endswith("/session"))
    found = [resolve(WS, message)["payload"] for message in operation["messages"]]
    return {payload["properties"]["op"]["const"]: payload for payload in found}


def test_every_operation_of_a_client_is_described(broker):
    answer = broker.session().request(op="QQQ")
    listed = re.match(r"op: expected (.*), found", answer["message"])[1]
    assert set(re.split(r", | or ", listed)) == set(messages("receive"))


def test_every_operation_of_the_broker_is_described():
    text = "\n".join(text for path, text in SOURCES.items() if "Admin" not in str(path))
    sent = set(re.findall(r'member\("op", "(\w+)"\)', text)) | set(re.findall(r'\bsend\("(\w+)", (?:id|nil)\)', text))
    assert {"ok", "message", "gap"} <= sent
    assert sent == set(messages("send"))
    assert {row[0].strip("`") for row in rows("Objects from the broker", 1)} == sent


def test_every_member_of_a_command_is_described():
    text = source_with("enum JSONCommand")
    read = set(re.findall(r'(?:object\.\w+\(|of: |\btext\()"(\w+)"', text)) | {"id"}
    assert {"filter", "ifSeq"} <= read
    described = {name for payload in messages("receive").values() for name in payload["properties"]}
    assert described == read


@pytest.mark.parametrize("operation", ["subscribe", "publish"])
def test_the_page_lists_the_members_of_a_command(operation):
    listed = {row[0].strip("`") for row in rows(f"`{operation}`", 1)}
    assert listed == set(messages("receive")[operation]["properties"]) - {"op", "id"}


def objects_of_the_page():
    for example in examples(PAGE):
        for step in example.steps:
            if isinstance(step, (Send, Receive)) and step.text.startswith("{"):
                text = re.sub(rf"\b({'|'.join(PLACEHOLDERS)})\b(?![\"A-Za-z])", "1", step.text)
                yield messages("receive" if isinstance(step, Send) else "send"), json.loads(text)


def test_the_objects_of_the_page_match_their_description():
    """The examples are exactly what the broker sends, and so are the descriptions."""
    seen = set()
    for described, object_ in objects_of_the_page():
        payload = described[object_.get("op", "message")]
        required = set(payload["required"]) - (set() if "op" in object_ else {"op"})
        assert required <= set(object_) <= set(payload["properties"]), object_
        seen.add((object_.get("op"), *object_))
    assert len(seen) > 15


def test_both_documents_describe_messages_alike():
    """With and without `op`, over HTTP and WebSocket."""
    over_http = HTTP["components"]["schemas"]
    over_ws = {name: message["payload"] for name, message in WS["components"]["messages"].items()}
    assert set(over_http["message"]["properties"]) == set(over_ws["plainMessage"]["properties"])
    assert set(over_ws["message"]["properties"]) == set(over_ws["plainMessage"]["properties"]) | {"op"}
    for notice in ("live", "gap"):
        assert set(over_http[notice]["properties"]) == set(over_ws[notice]["properties"])
        assert over_http[notice]["required"] == over_ws[notice]["required"]


def test_every_limit_is_in_the_table_of_the_architecture():
    page = (REPOSITORY / "docs/architecture.md").read_text().split("\n## Limits\n", 1)[1].split("\n## ", 1)[0]
    cells = [row.split("|")[1] for row in page.splitlines() if row.startswith("| ")]
    listed = {name.removeprefix("limits.") for cell in cells for name in re.findall(r"`([\w.]+)`", cell)}
    limits = yaml.safe_load((REPOSITORY / "Config/broker.yaml").read_text())["limits"]
    assert len(limits) > 20
    assert set(limits) - listed == set()


def test_the_files_and_types_of_the_architecture_exist():
    page = re.sub(r"```.*?```", "", (REPOSITORY / "docs/architecture.md").read_text(), flags=re.DOTALL)
    words = set(re.findall(r"`([^`\n]+)`", page))
    # Files that the reader adds, such as `NameEndpoint.swift` and `Admin/X.swift`.
    words = {word for word in words if not re.search(r"(^|/)(Name|X)[A-Z.]", word)}
    paths = {word for word in words if re.fullmatch(r"[\w./+-]+\.(swift|py|md|yaml)", word)}
    assert len(paths) > 40
    swift = [path for folder in ("Sources", "Tests") for path in (REPOSITORY / folder).rglob("*.swift")]
    names = {path.name for path in swift} | {path.name for path in (REPOSITORY / "Tests/Process").glob("*.py")}
    assert {path for path in paths if path not in names and not (REPOSITORY / path).is_file()} == set()
    text = "\n".join(path.read_text() for path in swift)
    declared = set(re.findall(r"\b(?:class|struct|enum|protocol|typealias|associatedtype) (\w+)", text))
    declared |= {path.name for path in (REPOSITORY / "Sources").rglob("*") if path.is_dir()}
    members = set(re.findall(r"\b(?:func|var|let|case) `?(\w+)", text))
    types = {word for word in words - paths if re.fullmatch(r"[A-Z]\w*[a-z]\w*(\.\w+)?", word)}
    assert len(types) > 80
    assert {word for word in types if word.split(".")[0] not in declared or not set(word.split(".")[1:]) <= members} == set()
