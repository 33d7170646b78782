// swift-tools-version: 6.2
import PackageDescription

/// Programs that use WSTransport as a stranger does: through its public face, from a package of their own.
let package = Package(
    name: "examples",
    products: [
        .executable(name: "chat", targets: ["Chat"]),
        .executable(name: "door", targets: ["Door"]),
        .executable(name: "echo-client", targets: ["EchoClient"]),
        .executable(name: "echo-server", targets: ["EchoServer"]),
        .executable(name: "raw-frames", targets: ["RawFrames"]),
        .executable(name: "resilient-client", targets: ["ResilientClient"]),
    ],
    dependencies: [
        .package(name: "broker", path: "..")
    ],
    targets: [
        .executableTarget(name: "Chat", dependencies: [.product(name: "WSTransport", package: "broker")]),
        .executableTarget(name: "Door", dependencies: [.product(name: "WSTransport", package: "broker")]),
        .executableTarget(name: "EchoClient", dependencies: [.product(name: "WSTransport", package: "broker")]),
        .executableTarget(name: "EchoServer", dependencies: [.product(name: "WSTransport", package: "broker")]),
        .executableTarget(name: "RawFrames", dependencies: [.product(name: "WSTransport", package: "broker")]),
        .executableTarget(name: "ResilientClient", dependencies: [.product(name: "WSTransport", package: "broker")]),
    ]
)
