/// The version of the broker, as clients and administrators see it.
package enum BrokerVersion {
    package static let current = "0.1.0"
}
