internal import ArgumentParser

/// `brokerctl bench`: puts load on a broker and reports the cost.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Puts load on a broker, checks every message and reports the cost.",
        discussion: """
            The load runs in this process: on the broker's own machine, both share its processors. \
            Without --url, the broker of the admin socket is measured, through its first listener without TLS. \
            With --url https://HOST:PORT, each connection does a full TLS handshake and verifies the certificate. \
            On a terminal, standard error shows the progress. The first SIGINT (Ctrl-C) ends the load and prints the \
            results so far; the second ends at once.

            Examples:
              brokerctl bench fanout --subscribers 1000 --messages 1000
              brokerctl bench fanout --subscribers 5000 --rate 100 --endpoint json
              brokerctl bench pub --publishers 100 --messages 10000 --retain
              brokerctl bench fanout --url https://localhost:8443 --ca-file ca.pem --process $(pidof brokerd)
              brokerctl bench sub 'sensors/#' --subscribers 100 --seconds 10
            """,
        subcommands: [BenchFanout.self, BenchPublish.self, BenchSubscribe.self])
}
