/// One key of the configuration: its name, its values, its meaning, and the property that holds it.
///
/// A setting is declared only here and as that property. The decoder, the writer, `Config/broker.yaml`,
/// `docs/settings.md`, the environment variables and the list of settings that need a restart are derived from it.
struct Setting<Owner> {
    /// The parts that do not depend on a value.
    let outline: SettingOutline
    /// Sets the value from a node at a path, or reports what is wrong with it.
    let decode: (ConfigurationNode, _ path: String, inout Owner, inout ConfigurationDecoder) -> Void
    /// The setting as it is written; it has no value if it is omitted.
    let written: (Owner) -> WrittenSetting
    /// The differences between an old and a new owner, whose section is at a path.
    let changes: (Owner, Owner, _ path: String) -> [SettingChange]
}

/// A mapping of the configuration: its keys, in the order in which they are shown.
struct ConfigurationRecord<Owner> {
    /// The owner with its defaults.
    let initial: Owner
    let members: [Setting<Owner>]
    /// Checks the members against each other after all of them are decoded.
    var check: (inout Owner, ConfigurationSection, inout ConfigurationDecoder) -> Void = { _, _, _ in }

    func written(_ owner: Owner) -> [WrittenSetting] { members.map { $0.written(owner) } }

    func changes(_ old: Owner, _ new: Owner, _ path: String) -> [SettingChange] {
        members.flatMap { member in
            let path = path.appendingKey(member.outline.key)
            return member.changes(old, new, path).map { change in
                // Settings of a section have their own values.
                guard change.path == path else { return change }
                var change = change
                change.old = member.written(old).value?.yaml(isQuoted: false)
                change.new = member.written(new).value?.yaml(isQuoted: false)
                return change
            }
        }
    }
}

extension Setting {
    /// A setting with one value.
    ///
    /// - Parameter isShown: whether the value is written; otherwise the key is shown as optional, with `example`.
    init<Value: Equatable>(
        _ key: String, _ place: WritableKeyPath<Owner, Value>, _ value: ConfigurationValue<Value>, _ doc: String,
        traits: SettingTraits = .init(), isShown: @escaping (Owner) -> Bool = { _ in true }
    ) {
        let outline = SettingOutline(
            key: key, form: .value, expected: value.expected, range: value.range, doc: doc, traits: traits)
        self.init(
            outline: outline,
            decode: { node, path, owner, decoder in
                if let found = decoder.read(node, path, value) { owner[keyPath: place] = found }
            },
            written: { owner in
                guard isShown(owner) else { return WrittenSetting(outline: outline, value: nil) }
                let written = value.write(owner[keyPath: place])
                return WrittenSetting(outline: outline, value: traits.isSecret ? written.masked : written)
            },
            changes: { old, new, path in
                old[keyPath: place] == new[keyPath: place] ? [] : [SettingChange(path: path, reload: traits.reload)]
            })
    }

    /// A setting that may be omitted, and has no value then.
    init<Value: Equatable>(
        optional key: String, _ place: WritableKeyPath<Owner, Value?>, _ value: ConfigurationValue<Value>,
        _ doc: String, traits: SettingTraits
    ) {
        self.init(
            key, place,
            ConfigurationValue<Value?>(
                expected: value.expected, read: { value.read($0).map(Optional.some) },
                write: { $0.map(value.write) ?? .plain("~") }, range: value.range, explain: value.explain),
            doc, traits: traits, isShown: { $0[keyPath: place] != nil })
    }

    /// A section.
    ///
    /// - Parameters:
    ///   - emptied: what is expected instead of a section without keys; `nil` if such a section means the defaults.
    ///   - isShown: whether the section is written; otherwise it is shown as an optional key.
    init<Section>(
        section key: String, _ place: WritableKeyPath<Owner, Section>, _ record: ConfigurationRecord<Section>,
        _ doc: String = "", emptied: String? = nil, isShown: @escaping (Section) -> Bool = { _ in true }
    ) {
        let outline = SettingOutline(key: key, form: .section(record.members.map(\.outline)), doc: doc)
        self.init(
            outline: outline,
            decode: { node, path, owner, decoder in
                if let emptied, case .nothing = node.content { return decoder.fail(node, path, expected: emptied) }
                decoder.decode(record, node, path, into: &owner[keyPath: place])
            },
            written: { owner in
                let section = owner[keyPath: place]
                return WrittenSetting(
                    outline: outline, value: isShown(section) ? .section(record.written(section)) : nil)
            },
            changes: { old, new, path in record.changes(old[keyPath: place], new[keyPath: place], path) })
    }

    /// A section that may be omitted; its traits describe its presence.
    init<Section>(
        optionalSection key: String, _ place: WritableKeyPath<Owner, Section?>,
        _ record: ConfigurationRecord<Section>, _ doc: String, traits: SettingTraits = .init()
    ) {
        let outline = SettingOutline(key: key, form: .section(record.members.map(\.outline)), doc: doc, traits: traits)
        self.init(
            outline: outline,
            decode: { node, path, owner, decoder in
                owner[keyPath: place] = nil
                if case .nothing = node.content { return }
                var section = record.initial
                guard decoder.decode(record, node, path, into: &section) != nil else { return }
                owner[keyPath: place] = section
            },
            written: { owner in
                WrittenSetting(
                    outline: outline, value: owner[keyPath: place].map { .section(record.written($0)) })
            },
            changes: { old, new, path in
                switch (old[keyPath: place], new[keyPath: place]) {
                case (nil, nil): []
                case (let old?, let new?): record.changes(old, new, path)
                default: [SettingChange(path: path, reload: traits.reload)]
                }
            })
    }

    /// A list of values.
    init<Value: Equatable>(
        values key: String, _ place: WritableKeyPath<Owner, [Value]>, of value: ConfigurationValue<Value>,
        expected: String, _ doc: String, traits: SettingTraits = .init()
    ) {
        self.init(
            list: SettingOutline(key: key, form: .value, expected: expected, doc: doc, traits: traits), place,
            of: value, make: { $0 }, elements: { $0 })
    }

    /// A list of values that may be omitted; an omitted list is `nil`.
    init<Value: Equatable>(
        optionalValues key: String, _ place: WritableKeyPath<Owner, [Value]?>, of value: ConfigurationValue<Value>,
        expected: String, _ doc: String, traits: SettingTraits
    ) {
        self.init(
            list: SettingOutline(key: key, form: .value, expected: expected, doc: doc, traits: traits), place,
            of: value, make: { $0 }, elements: { $0 })
    }

    /// - Parameters:
    ///   - make: converts the values to what the owner holds.
    ///   - elements: converts back; `nil` if the owner holds no list.
    private init<Value: Equatable, List: Equatable>(
        list outline: SettingOutline, _ place: WritableKeyPath<Owner, List>, of value: ConfigurationValue<Value>,
        make: @escaping ([Value]) -> List, elements: @escaping (List) -> [Value]?
    ) {
        self.init(
            outline: outline,
            decode: { node, path, owner, decoder in
                guard let items = decoder.items(of: node, path, expected: outline.expected) else { return }
                owner[keyPath: place] = make(items.compactMap { decoder.read($0.node, $0.path, value) })
            },
            written: { owner in
                WrittenSetting(
                    outline: outline, value: elements(owner[keyPath: place]).map { .values($0.map(value.write)) })
            },
            changes: { old, new, path in
                old[keyPath: place] == new[keyPath: place]
                    ? [] : [SettingChange(path: path, reload: outline.traits.reload)]
            })
    }

    /// A list of sections.
    ///
    /// - Parameters:
    ///   - isFlow: whether each item is written in one line.
    ///   - mayBeNothing: whether the key without a value is an empty list; otherwise an empty list is omitted.
    ///   - check: checks the items that are mappings against each other; each comes with its section.
    init<Element: Equatable>(
        list key: String, _ place: WritableKeyPath<Owner, [Element]>, of record: ConfigurationRecord<Element>,
        expected: String, _ doc: String, isFlow: Bool = false, mayBeNothing: Bool = false,
        traits: SettingTraits = .init(),
        check: @escaping ([(item: Element, section: ConfigurationSection)], inout ConfigurationDecoder) -> Void = {
            _, _ in
        }
    ) {
        let outline = SettingOutline(
            key: key, form: .list(record.members.map(\.outline), isFlow: isFlow), expected: expected, doc: doc,
            traits: traits)
        self.init(
            outline: outline,
            decode: { node, path, owner, decoder in
                if mayBeNothing, case .nothing = node.content { return }
                guard let items = decoder.items(of: node, path, expected: expected) else { return }
                var checked: [(item: Element, section: ConfigurationSection)] = []
                owner[keyPath: place] = items.map { node, path in
                    var item = record.initial
                    if let section = decoder.decode(record, node, path, into: &item) { checked.append((item, section)) }
                    return item
                }
                check(checked, &decoder)
            },
            written: { owner in
                let items = owner[keyPath: place].map(record.written)
                return WrittenSetting(outline: outline, value: items.isEmpty && !mayBeNothing ? nil : .list(items))
            },
            changes: { old, new, path in
                let (old, new) = (old[keyPath: place], new[keyPath: place])
                guard old.count == new.count else { return [SettingChange(path: path, reload: traits.reload)] }
                return zip(old, new).enumerated().flatMap { number, pair in
                    record.changes(pair.0, pair.1, "\(path)[\(number)]")
                }
            })
    }

    /// A setting that this version does not support: it may be empty, or an empty list.
    init(unavailable key: String, _ form: SettingOutline.Form, _ doc: String, example: String = "") {
        let outline = SettingOutline(
            key: key, form: form, doc: doc, traits: .init(example: example, isAvailable: false))
        var written: WrittenValue?
        if case .list = form { written = .list([]) }
        self.init(
            outline: outline,
            decode: { node, path, _, decoder in
                switch node.content {
                case .nothing, .refused: return
                case .list(let items) where items.isEmpty: return
                default: decoder.failUnavailable(node, path)
                }
            },
            written: { _ in WrittenSetting(outline: outline, value: written) }, changes: { _, _, _ in [] })
    }

    /// A setting that this version does not support: it may have its default only.
    init<Value: Equatable>(
        unavailable key: String, _ value: ConfigurationValue<Value>, default standard: Value, _ doc: String,
        example: String = ""
    ) {
        let outline = SettingOutline(
            key: key, form: .value, expected: value.expected, doc: doc,
            traits: .init(example: example, isAvailable: false))
        self.init(
            outline: outline,
            decode: { node, path, _, decoder in
                guard let found = decoder.read(node, path, value), found != standard else { return }
                decoder.failUnavailable(node, path)
            },
            written: { _ in WrittenSetting(outline: outline, value: value.write(standard)) },
            changes: { _, _, _ in [] })
    }
}
