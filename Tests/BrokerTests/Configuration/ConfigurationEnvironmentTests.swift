import Testing

@testable import Broker

@Suite("Configuration: environment variables")
struct ConfigurationEnvironmentTests {
    private func parse(_ yaml: String, _ environment: [String: String]) throws(ConfigurationErrors) -> Settings {
        try ConfigurationReader.parse(Array(yaml.utf8), file: "x.yaml", ConfigurationEnvironment(environment))
    }

    @Test(arguments: ["", "limits: { message: 2MiB, topic: 99 }\nlog:\n", "limits:\n"])
    func overridesTheFile(yaml: String) throws {
        let settings = try parse(
            yaml,
            [
                "BROKER_LIMITS_MESSAGE": "4MiB", "BROKER_LOG_LEVEL": "debug", "BROKER_DATA_DIR": "/a: b # c",
                "BROKER_ORIGINS": "[same-host, null]", "BROKER_ACCESS_ANONYMOUS_PUBLISH": "[\"a/#\"]",
                "BROKER_LISTEN": "[{ address: \":7\", path_prefix: /x }]", "BROKER_SYSTEM_TOPICS_INTERVAL": "0",
                "BROKER_METRICS_ENABLED": "", "LIMITS_MESSAGE": "1",
            ])
        #expect(settings.limits.message == 4 << 20 && settings.log.level == .debug)
        #expect(settings.limits.topic == (yaml.contains("99") ? 99 : 1024))
        #expect(settings.dataDirectory == "/a: b # c" && settings.origins == [.sameHost, .null])
        #expect(settings.access.anonymous.publish == ["a/#"] && settings.systemTopics.interval == nil)
        #expect(
            settings.listen == [Settings.Listener(address: .internet(host: "127.0.0.1", port: 7), pathPrefix: "/x")])
        #expect(settings.metrics.enabled)
    }

    @Test func errorsNameTheVariable() throws {
        #expect {
            try parse(
                "limits: { mesage: 1 }",
                [
                    "BROKER_LIMITS_MESSAGE": "lots", "BROKER_HOSTS": "[a", "BROKER_DATA_DIR": "a\tb",
                    "BROKER_ORIGINS": "[a b]", "BROKER_ACCESS_QUERY_TOKENS": "f",
                ])
        } throws: { error in
            (error as? ConfigurationErrors)?.errors.map(\.description) == [
                "BROKER_ACCESS_QUERY_TOKENS: access.query_tokens: expected one of short, any, none, found \"f\"",
                "BROKER_DATA_DIR: data_dir: expected text on one line, found a control character",
                "BROKER_HOSTS: hosts: not valid YAML: while parsing a flow sequence, did not find expected ',' or ']'",
                "BROKER_LIMITS_MESSAGE: limits.message: expected a size such as 1MiB, from 1 to 256MiB, found \"lots\"",
                "BROKER_ORIGINS: origins[0]: expected same-origin, same-host, any, null, or a pattern such as "
                    + "https://*.example.com, found \"a b\"",
                "x.yaml:1:11: limits.mesage: unknown key, did you mean \"message\"?",
            ]
        }
    }

    /// A section of the file that is not a mapping is still an error.
    @Test func doesNotHideErrorsInTheFile() throws {
        #expect(throws: ConfigurationErrors.self) { try parse("limits: 3", ["BROKER_LIMITS_MESSAGE": "4MiB"]) }
    }

    @Test(arguments: [
        ("BROKER_LIMITS_MESAGE", "did you mean BROKER_LIMITS_MESSAGE?"),
        ("BROKER_LIMITS", "set the members of this section, such as BROKER_LIMITS_AUTHENTICATION_FAILURES"),
        ("BROKER_ACCESS_ANONYMOUS", "set the members of this section, such as BROKER_ACCESS_ANONYMOUS_PUBLISH"),
        ("BROKER_LISTEN_0_ADDRESS", "set the whole list, as in YAML: BROKER_LISTEN='[…]'"),
        ("BROKER_ACCESS_RULES_12", "set the whole list, as in YAML: BROKER_ACCESS_RULES='[…]'"),
        ("BROKER_URL", nil), ("BROKER_SOCKET", nil), ("BROKER_SERVICE_PORT_HTTP", nil), ("BROKERS_LIMITS_MESAGE", nil),
        ("BROKER_METRICS_PORT_9090_TCP", nil),
    ])
    func advisesOnVariablesThatSetNothing(name: String, advice: String?) {
        let environment = ConfigurationEnvironment([name: "1"])
        #expect(environment.ineffective.map(\.advice) == (advice.map { [$0] } ?? []))
    }
}
