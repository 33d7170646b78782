/// One reactor's access to the audit log; events that repeat become one line a second, with a count.
///
/// Runs on its reactor's thread.
package final class AuditTally {
    /// The key of events that are counted as equal.
    package struct Matter: Hashable {
        let name: AuditEvent.Name
        /// The number of a connection or a client; 0 if the event is about neither.
        let number: UInt64
        /// What else distinguishes it, such as an address.
        let text: String

        package init(_ name: AuditEvent.Name, of number: UInt64 = 0, _ text: String = "") {
            self.name = name
            self.number = number
            self.text = text
        }
    }

    /// How many keys are counted at a time; one more writes all of them early.
    private static let maximumMatters = 1000

    private let log: AuditLog
    /// Whether successful authentications are logged, too.
    package var hasAuthentications = false
    private let inASecond: (@escaping () -> Void) -> Void
    private var places: [Matter: Int] = [:]
    private var events: [AuditEvent] = []
    private var isDue = false

    /// - Parameter inASecond: runs a closure once, a second later, on the reactor's thread.
    package init(_ log: AuditLog, inASecond: @escaping (@escaping () -> Void) -> Void) {
        self.log = log
        self.inASecond = inASecond
    }

    /// Whether the log is written.
    package var isOn: Bool { log.isOn }

    /// Writes a line.
    package func write(_ event: @autoclosure () -> AuditEvent) { log.write(event()) }

    /// Counts an event; a second after the first one with this key, that one is written with their number.
    package func count(_ matter: @autoclosure () -> Matter, _ event: @autoclosure () -> AuditEvent) {
        guard log.isOn else { return }
        let matter = matter()
        if let place = places[matter] {
            events[place].count += 1
            return
        }
        if events.count == Self.maximumMatters { flush() }
        places[matter] = events.count
        events.append(event())
        guard !isDue else { return }
        isDue = true
        inASecond { [weak self] in
            self?.isDue = false
            self?.flush()
        }
    }

    /// Writes the events that were counted so far.
    package func flush() {
        for event in events { log.write(event) }
        places = [:]
        events = []
    }
}
