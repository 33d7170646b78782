internal import CYAML

/// A position in a YAML file, from 1; columns count characters.
struct YAMLMark: Equatable, Comparable {
    var line: Int
    var column: Int

    static func < (left: YAMLMark, right: YAMLMark) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// A part of a YAML file.
struct YAMLEvent {
    enum Kind: Equatable {
        case streamStart
        case streamEnd
        case documentStart
        case documentEnd
        case alias
        /// A scalar; `isPlain` if it is not quoted.
        case scalar(String, isPlain: Bool)
        case listStart
        case listEnd
        case mappingStart
        case mappingEnd
    }

    let kind: Kind
    let mark: YAMLMark
    /// Whether it carries an anchor (`&name`) or a tag (`!name`).
    let isDecorated: Bool
}

/// An error that ends the parsing of a file, with its position.
struct YAMLSyntaxError: Error, Equatable {
    let mark: YAMLMark
    let message: String
}

/// libyaml's parser over UTF-8 in memory.
///
/// The corresponding C type is `yaml_parser_t`.
@safe
struct YAMLEventParser: ~Copyable {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let input: UnsafeMutableBufferPointer<UInt8>

    /// Copies `bytes`; `nil` if memory is exhausted.
    init?(_ bytes: [UInt8]) {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        guard unsafe yaml_parser_initialize(parser) == 1 else {
            unsafe parser.deallocate()
            return nil
        }
        let input = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(1, bytes.count))
        _ = unsafe input.initialize(from: bytes)
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe yaml_parser_set_input_string(parser, input.baseAddress, bytes.count)
        unsafe self.parser = parser
        unsafe self.input = input
    }

    deinit {
        unsafe yaml_parser_delete(parser)
        unsafe parser.deallocate()
        unsafe input.deallocate()
    }

    /// The next event; must not be called again after `.streamEnd` or an error.
    mutating func next() throws(YAMLSyntaxError) -> YAMLEvent {
        var event = unsafe yaml_event_t()
        guard unsafe yaml_parser_parse(parser, &event) == 1 else { throw unsafe syntaxError(parser.pointee) }
        defer { unsafe yaml_event_delete(&event) }
        let data = unsafe event.data
        let mark = unsafe YAMLMark(event.start_mark)
        switch unsafe event.type {
        case YAML_STREAM_START_EVENT: return YAMLEvent(kind: .streamStart, mark: mark, isDecorated: false)
        case YAML_STREAM_END_EVENT: return YAMLEvent(kind: .streamEnd, mark: mark, isDecorated: false)
        case YAML_DOCUMENT_START_EVENT: return YAMLEvent(kind: .documentStart, mark: mark, isDecorated: false)
        case YAML_DOCUMENT_END_EVENT: return YAMLEvent(kind: .documentEnd, mark: mark, isDecorated: false)
        case YAML_ALIAS_EVENT: return YAMLEvent(kind: .alias, mark: mark, isDecorated: false)
        case YAML_SCALAR_EVENT:
            let scalar = unsafe data.scalar
            let bytes = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            let text = unsafe String(decoding: bytes, as: UTF8.self)
            let isPlain = unsafe scalar.style == YAML_PLAIN_SCALAR_STYLE
            let isDecorated = unsafe scalar.anchor != nil || scalar.tag != nil
            return YAMLEvent(kind: .scalar(text, isPlain: isPlain), mark: mark, isDecorated: isDecorated)
        case YAML_SEQUENCE_START_EVENT:
            let isDecorated = unsafe data.sequence_start.anchor != nil || data.sequence_start.tag != nil
            return YAMLEvent(kind: .listStart, mark: mark, isDecorated: isDecorated)
        case YAML_SEQUENCE_END_EVENT: return YAMLEvent(kind: .listEnd, mark: mark, isDecorated: false)
        case YAML_MAPPING_START_EVENT:
            let isDecorated = unsafe data.mapping_start.anchor != nil || data.mapping_start.tag != nil
            return YAMLEvent(kind: .mappingStart, mark: mark, isDecorated: isDecorated)
        case YAML_MAPPING_END_EVENT: return YAMLEvent(kind: .mappingEnd, mark: mark, isDecorated: false)
        default: throw YAMLSyntaxError(mark: mark, message: "an unknown kind of event")
        }
    }

    /// The reader's errors have an offset instead of a mark; the text before it is valid.
    private func syntaxError(_ state: yaml_parser_t) -> YAMLSyntaxError {
        let problem = unsafe state.problem.map { unsafe String(cString: $0) } ?? "out of memory"
        guard unsafe state.error != YAML_READER_ERROR else {
            let offset = unsafe min(Int(clamping: state.problem_offset), input.count)
            let mark = unsafe YAMLMark(endOf: input[..<offset])
            return YAMLSyntaxError(mark: mark, message: "not valid YAML: \(problem)")
        }
        let context = unsafe state.context.map { unsafe "\(String(cString: $0)), " } ?? ""
        return unsafe YAMLSyntaxError(
            mark: YAMLMark(state.problem_mark), message: "not valid YAML: \(context)\(problem)")
    }
}

extension YAMLMark {
    fileprivate init(_ mark: yaml_mark_t) {
        self.init(line: Int(clamping: mark.line) &+ 1, column: Int(clamping: mark.column) &+ 1)
    }

    /// The position after `bytes`, which begin a file.
    init(endOf bytes: some Collection<UInt8>) {
        self.init(line: 1, column: 1)
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {  // a continuation byte begins no character
                column += 1
            }
        }
    }
}
