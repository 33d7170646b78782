/// One key of the configuration: what it is called, what it takes, what it means, and where it stands in the settings.
///
/// This is a setting's only home besides the property that holds it. The decoder, the writer, `Config/broker.yaml`,
/// `docs/settings.md`, the environment's variables and the list of what needs a restart are made from it.
struct Setting<Owner> {
    /// What does not depend on a value.
    let outline: SettingOutline
    /// Takes the value out of a node at a path, or reports what is wrong with it.
    let decode: (ConfigurationNode, _ path: String, inout Owner, inout ConfigurationDecoder) -> Void
    /// What is written of it; without a value where it is left out.
    let written: (Owner) -> WrittenSetting
    /// What differs between two owners, from an old one to a new one at a path.
    let changes: (Owner, Owner, _ path: String) -> [SettingChange]
}

/// A mapping of the configuration: its keys, in the order in which they are shown.
struct ConfigurationRecord<Owner> {
    /// The owner before anything is decoded.
    let initial: Owner
    let members: [Setting<Owner>]
    /// Looks at what the members have to keep among themselves, when all have been decoded.
    var check: (inout Owner, ConfigurationSection, inout ConfigurationDecoder) -> Void = { _, _, _ in }

    func written(_ owner: Owner) -> [WrittenSetting] { members.map { $0.written(owner) } }

    func changes(_ old: Owner, _ new: Owner, _ path: String) -> [SettingChange] {
        members.flatMap { member in
            let path = path.appendingKey(member.outline.key)
            return member.changes(old, new, path).map { change in
                // Those below it have their own values.
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
    /// A setting of one value.
    ///
    /// - Parameters:
    ///   - isShown: whether a value is written; one that is not is shown as an optional key, with `example`.
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

    /// A setting that may be left out, and has no value then.
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
    ///   - emptied: what is expected of a section that is there and holds nothing; `nil`: that is the defaults.
    ///   - isShown: whether it is written; one that is not is shown as an optional key.
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

    /// A section that may be left out; its traits are about whether it is there.
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

    /// A list of values that may be left out, and is no list then.
    init<Value: Equatable>(
        optionalValues key: String, _ place: WritableKeyPath<Owner, [Value]?>, of value: ConfigurationValue<Value>,
        expected: String, _ doc: String, traits: SettingTraits
    ) {
        self.init(
            list: SettingOutline(key: key, form: .value, expected: expected, doc: doc, traits: traits), place,
            of: value, make: { $0 }, elements: { $0 })
    }

    /// - Parameters:
    ///   - make: what the owner holds for the elements.
    ///   - elements: the reverse; `nil`: it holds no list.
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
    ///   - isFlow: whether an item is written in one line.
    ///   - mayBeNothing: whether the key without a value is an empty list; if not, an empty one is left out.
    ///   - check: looks at the items that were mappings, each with its section, among themselves.
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

    /// A setting that this version knows and lacks: nothing, or an empty list, may be written down.
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

    /// A setting that this version knows and lacks: it may be written down at its default only.
    init<Value: Equatable>(
        unavailable key: String, _ value: ConfigurationValue<Value>, default standard: Value, _ doc: String
    ) {
        let outline = SettingOutline(
            key: key, form: .value, expected: value.expected, doc: doc, traits: .init(isAvailable: false))
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
