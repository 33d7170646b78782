// swift-tools-version: 6.2
import PackageDescription

/// All libraries of the package.
let libraries: [Target.Dependency] = [
    .product(name: "WSTransport", package: "broker"), .product(name: "WSTransportCoding", package: "broker"),
    .product(name: "WSTransportServices", package: "broker"), .product(name: "WSTransportTesting", package: "broker"),
    .product(name: "Logging", package: "swift-log"),
]

/// Programs that use WSTransport like any other package: through its public API, from their own package; the
/// snippets of its documentation; and tests of all its libraries, which `make test` runs in a release build.
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
        .package(name: "broker", path: ".."),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
    ],
    targets: [
        .executableTarget(name: "Chat", dependencies: [.product(name: "WSTransport", package: "broker")]),
        .executableTarget(name: "Door", dependencies: [.product(name: "WSTransport", package: "broker")]),
        .executableTarget(name: "EchoClient", dependencies: [.product(name: "WSTransport", package: "broker")]),
        .executableTarget(name: "EchoServer", dependencies: [.product(name: "WSTransport", package: "broker")]),
        .executableTarget(name: "RawFrames", dependencies: [.product(name: "WSTransport", package: "broker")]),
        .executableTarget(name: "ResilientClient", dependencies: [.product(name: "WSTransport", package: "broker")]),
        .target(
            name: "Snippets",
            dependencies: libraries + [.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")],
            swiftSettings: [.unsafeFlags(["-suppress-warnings"])]),
        .testTarget(name: "LibraryTests", dependencies: libraries),
    ]
)
