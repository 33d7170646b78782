// swift-tools-version: 6.2
import PackageDescription

/// The product's own code: the strictest reading the compiler offers.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),  // SE-0458: every unsafe use is marked `unsafe`
    .treatAllWarnings(as: .error),  // SE-0480
    .enableUpcomingFeature("ExistentialAny"),  // SE-0335: `any` shows the cost
    .enableUpcomingFeature("InternalImportsByDefault"),  // SE-0409: an import says how far it reaches
    .enableUpcomingFeature("MemberImportVisibility"),  // SE-0444: a file imports what it uses
    .enableExperimentalFeature("Lifetimes"),  // @_lifetime on views
]

/// Tests: the same language mode, without the memory-safety marks.
let relaxed: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
    name: "broker",
    products: [
        .library(name: "WSTransport", targets: ["WSTransport"]),
        .library(name: "WSTransportCoding", targets: ["WSTransportCoding"]),
        .library(name: "WSTransportServices", targets: ["WSTransportServices"]),
        .library(name: "WSTransportTesting", targets: ["WSTransportTesting"]),
        .executable(name: "brokerd", targets: ["brokerd"]),
        .executable(name: "brokerctl", targets: ["brokerctl"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.5.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
    ],
    targets: [
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CSIMD"),
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "WSTransport", dependencies: ["CLinux", "COpenSSL", "CSIMD", "CZlib"], swiftSettings: strict),
        .target(name: "Cryptography", dependencies: ["COpenSSL", "WSTransport"], swiftSettings: strict),
        .target(name: "WSTransportCoding", dependencies: ["WSTransport"], swiftSettings: strict),
        .target(name: "WSTransportTesting", dependencies: ["WSTransport"], swiftSettings: strict),
        .target(
            name: "WSTransportServices",
            dependencies: [
                "WSTransport", .product(name: "Logging", package: "swift-log"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        .target(
            name: "Broker", dependencies: ["Cryptography", "WSTransport", "CLMDB", "CSIMD", "CYAML"],
            swiftSettings: strict),
        .executableTarget(
            name: "brokerd",
            dependencies: [
                "Broker", "WSTransport", .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .target(name: "Load", dependencies: ["WSTransport"], swiftSettings: strict),
        .executableTarget(
            name: "brokerctl",
            dependencies: [
                "Broker", "Cryptography", "Load", "WSTransport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "WSTransportTests", dependencies: ["COpenSSL", "WSTransport"], exclude: ["Vectors"],
            swiftSettings: relaxed),
        .testTarget(
            name: "WSTransportCodingTests", dependencies: ["WSTransport", "WSTransportCoding"], exclude: ["Vectors"],
            swiftSettings: relaxed),
        .testTarget(
            name: "WSTransportServicesTests",
            dependencies: [
                "WSTransport", "WSTransportServices", .product(name: "MetricsTestKit", package: "swift-metrics"),
                .product(name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle"),
            ],
            swiftSettings: relaxed),
        .testTarget(
            name: "CryptographyTests", dependencies: ["COpenSSL", "Cryptography", "WSTransport"],
            exclude: ["Vectors", "make_edges.py", "make_vectors.py"], swiftSettings: relaxed),
        .testTarget(
            name: "BrokerTests", dependencies: ["Broker", "Cryptography", "WSTransport"], swiftSettings: relaxed),
        .testTarget(
            name: "FuzzTests", dependencies: ["Broker", "Cryptography", "WSTransport", "WSTransportCoding"],
            path: "Tests/Fuzz",
            exclude: ["corpus", "make_corpus.py"], swiftSettings: relaxed),
        .testTarget(name: "LoadTests", dependencies: ["Load", "WSTransport"], swiftSettings: relaxed),
        .testTarget(name: "TidyTests", swiftSettings: relaxed),
    ]
)
