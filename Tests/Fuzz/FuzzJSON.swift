// fuzz: Sources/Broker/Topics Sources/Broker/JSON

// Any bytes are JSON or an error at one of the bytes; values that are read and written again are the same: RFC 8259.

#if canImport(Broker)
    @testable import Broker
#endif

/// Reads a frame of commands in every way, and checks the rules for each object.
private func readObjects(_ input: Span<UInt8>) {
    var scanner = JSONScanner(input)
    var last = 0
    do throws(JSONError) {
        while let object = try scanner.nextObject() {
            precondition(scanner.offset > last && scanner.offset <= input.count, "does not move on")
            last = scanner.offset
            look(at: object)
        }
    } catch {
        precondition((0...input.count).contains(error.offset), "an error outside the input")
        precondition(!error.description.isEmpty, "an error without words")
    }
}

private func look(at object: borrowing JSONObject) {
    precondition(object.count <= JSONScanner.maximumMembers, "too many members")
    for index in 0..<object.count {
        let name = object.name(at: index)
        let value = object.value(at: index)
        precondition(object.kind(of: JSONName(name)) == value.kind, "another member of that name")
        let raw = value.copyRawBytes()
        precondition(JSONScanner.validate(raw.span), "a value that is no JSON")
        // Each typed reader returns a value, or an error.
        _ = try? object.string(JSONName(name))
        _ = try? object.bool(JSONName(name))
        _ = try? object.double(JSONName(name))
        _ = try? object.strings(JSONName(name))
        if let number = try? object.integer(JSONName(name), as: Int64.self) {
            precondition(Double(number) == (try? object.double(JSONName(name))), "two numbers")
        }
        if let bytes = value.stringBytes {
            precondition(String(validating: bytes, as: UTF8.self) == value.string, "not UTF-8")
            checkString(bytes)
        }
        if value.kind == .object {
            // Duplicates are detected only now.
            do throws(JSONError) { look(at: try value.object()) } catch {
                precondition(error.offset >= object.offset, "an error before its object")
            }
        }
    }
    rewrite(object)
}

/// A string is read as it was written.
private func checkString(_ bytes: [UInt8]) {
    var writer = JSONWriter()
    writer.string(utf8: bytes.span)
    let written = writer.bytes
    let value = try? JSONValue(parsing: written.span).stringBytes
    precondition(value == bytes, "a string that does not round-trip")
}

/// An object is read as it was written, member by member.
private func rewrite(_ object: borrowing JSONObject) {
    var writer = JSONWriter()
    writer.beginObject()
    for index in 0..<object.count {
        writer.name(escaping: object.name(at: index))
        writer.raw(object.value(at: index).copyRawBytes().span)
    }
    writer.endObject()
    precondition((try? members(writer.bytes)) == members(of: object), "an object that does not round-trip")
}

private func members(_ bytes: [UInt8]) throws(JSONError) -> [String] {
    members(of: try JSONObject.parse(bytes.span))
}

private func members(of object: borrowing JSONObject) -> [String] {
    var members: [String] = []
    for index in 0..<object.count {
        members.append(object.name(at: index))
        members.append(String(decoding: object.value(at: index).copyRawBytes(), as: UTF8.self))
    }
    return members
}

func fuzzJSON(_ input: [UInt8]) {
    readObjects(input.span)
    let isJSON = JSONScanner.validate(input.span)
    if JSONScanner.validate(input.span, maximumDepth: 2) {
        precondition(isJSON, "deeper is not allowed where shallower is")
    }
    if isJSON { precondition(String(validating: input, as: UTF8.self) != nil, "JSON that is no UTF-8") }
    // Any input can be written as a payload of bytes, and as text.
    var writer = JSONWriter()
    writer.beginArray()
    writer.base64(input.span)
    writer.string(String(decoding: input, as: UTF8.self))
    writer.endArray()
    let written = writer.bytes
    precondition(JSONScanner.validate(written.span), "writes invalid JSON")
}
