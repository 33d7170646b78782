// swift-tools-version: 6.2
import PackageDescription

// Echo servers of this library and of SwiftNIO, and what loads them: Benchmarks/libraries.py compares them.
//
// A package of its own, so that nothing else downloads its dependencies.

let package = Package(
    name: "library-comparison",
    dependencies: [
        .package(name: "broker", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio", from: "2.93.0"),
    ],
    targets: [
        .executableTarget(
            name: "wstransport-echo", dependencies: [.product(name: "WSTransport", package: "broker")],
            path: "Sources/WSTransportEcho"),
        .executableTarget(
            name: "nio-echo",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOWebSocket", package: "swift-nio"),
            ],
            path: "Sources/NIOEcho"),
        .executableTarget(name: "echo-load", path: "Sources/EchoLoad"),
    ]
)
