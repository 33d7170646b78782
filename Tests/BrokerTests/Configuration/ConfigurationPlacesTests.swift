import Foundation
import Testing

@testable import Broker

@Suite("Configuration: the places of settings that turn out to be wrong when they are used")
struct ConfigurationPlacesTests {
    private static let yaml = """
        listen:
          - address: 127.0.0.1:8080
            tls: { certificate: none.pem, key: none.key }
          - { address: "unix:/run/b.sock", group: nobody-here }
        log:
          audit: /nowhere/audit.log
        """

    private func places(
        _ environment: [String: String] = [:], overridden: [String] = []
    ) throws -> (ConfigurationPlaces, TestDirectory) {
        let directory = TestDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let file = directory.path + "/b.yaml"
        try Data(Self.yaml.utf8).write(to: URL(fileURLWithPath: file))
        let places = ConfigurationPlaces(
            file: file, environment: ConfigurationEnvironment(environment), overridden: overridden)
        return (places, directory)
    }

    @Test(arguments: [
        ("listen[0].tls.key: none.key: missing", "b.yaml:3:40: listen[0].tls.key: none.key: missing"),
        ("listen[1].group: there is no group", "b.yaml:4:43: listen[1].group: there is no group"),
        ("log.audit: cannot open it", "b.yaml:6:10: log.audit: cannot open it"),
        // The section that should contain it.
        ("listen[1].mode: not this one", "b.yaml:4:5: listen[1].mode: not this one"),
        ("listen[7].address: no such listener", "b.yaml:2:3: listen[7].address: no such listener"),
        // A default, no setting, and no path of one.
        ("admin.socket: too long", "b.yaml: admin.socket: too long"),
        ("/etc/users.jsonl:3: no JSON", "b.yaml: /etc/users.jsonl:3: no JSON"),
        ("nothing is right", "b.yaml: nothing is right"),
    ])
    func namesTheLine(sentence: String, expected: String) throws {
        let (places, directory) = try places()
        #expect("\(places.error(sentence))" == "\(directory.path)/\(expected)")
    }

    @Test func namesTheVariable() throws {
        let (places, _) = try places(["BROKER_LOG_AUDIT": "/nowhere"])
        #expect("\(places.error("log.audit: cannot open it"))" == "BROKER_LOG_AUDIT: log.audit: cannot open it")
    }

    @Test func knowsWhatTheCommandLineDecides() throws {
        let (places, _) = try places(overridden: ["listen"])
        #expect(places.error("cannot listen", at: "listen[0].address") == nil)
        #expect(places.error("cannot open it", at: "log.audit")?.line == 6)
    }

    @Test func aFileThatCannotBeReadHasNoPlaces() {
        let places = ConfigurationPlaces(file: "/no/such/file")
        #expect("\(places.error("log.audit: wrong"))" == "/no/such/file: log.audit: wrong")
        #expect("\(ConfigurationPlaces(file: nil).error("log.audit: wrong"))" == "settings: log.audit: wrong")
    }
}
