/// What somebody may publish and subscribe to, as topic filters.
package struct Permissions: Sendable {
    private let publish: [TopicFilter]
    private let subscribe: [TopicFilter]
    private let allowsEverything: Bool

    /// Empty lists allow nothing.
    package init(publish: [TopicFilter], subscribe: [TopicFilter], allowsEverything: Bool = false) {
        self.publish = publish
        self.subscribe = subscribe
        self.allowsEverything = allowsEverything
    }

    /// The administrator's: also below `$SYS`, for subscribing.
    package static let all = Permissions(publish: [], subscribe: [], allowsEverything: true)

    /// A lone `#` in a list stands for every topic, those that begin with `$` included.
    package func allowsPublish(to topic: Topic) -> Bool {
        allowsEverything || publish.contains { $0.name == "#" || $0.matches(topic) }
    }

    /// Whether everything that `filter` can match may be read.
    package func allowsSubscribe(to filter: TopicFilter) -> Bool {
        allowsEverything || subscribe.contains { $0.name == "#" || $0.covers(filter) }
    }
}

/// An identified caller.
package struct Identity: Sendable {
    /// `nil`: anonymous.
    package let user: String?
    package let permissions: Permissions

    package init(user: String?, permissions: Permissions) {
        self.user = user
        self.permissions = permissions
    }
}
