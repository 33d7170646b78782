/// What one reactor has for the audit log: what happens again and again becomes one line a second, with a count.
///
/// Runs on its reactor's thread.
package final class AuditTally {
    /// What counts as the same.
    package struct Matter: Hashable {
        let name: AuditEvent.Name
        /// A connection or a client; 0: it is about none.
        let number: UInt64
        /// What else tells it from others, such as an address.
        let text: String

        package init(_ name: AuditEvent.Name, of number: UInt64 = 0, _ text: String = "") {
            self.name = name
            self.number = number
            self.text = text
        }
    }

    /// How many matters wait for the end of their second; with one more all are written early.
    private static let maximumMatters = 1000

    private let log: AuditLog
    /// Whether it wants to know of credentials that were right, too.
    package var hasAuthentications = false
    private let inASecond: (@escaping () -> Void) -> Void
    private var places: [Matter: Int] = [:]
    private var events: [AuditEvent] = []
    private var isDue = false

    /// - Parameter inASecond: runs what it is given once, a second later, on the reactor's thread.
    package init(_ log: AuditLog, inASecond: @escaping (@escaping () -> Void) -> Void) {
        self.log = log
        self.inASecond = inASecond
    }

    /// Whether lines are wanted.
    package var isOn: Bool { log.isOn }

    /// Writes a line.
    package func write(_ event: @autoclosure () -> AuditEvent) { log.write(event()) }

    /// Counts an event; a second after the first of its matter, that one is written with their number.
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

    /// Writes what was counted so far.
    package func flush() {
        for event in events { log.write(event) }
        places = [:]
        events = []
    }
}
