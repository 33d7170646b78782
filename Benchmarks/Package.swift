// swift-tools-version: 6.2
import PackageDescription

// What the product's code costs, counted and compared. Not part of the product.
//
// `package` declarations end at their package, so the product's sources are targets of this one, too: the links in
// `Sources` point at them. What is measured is the same code with the same options as in `brokerd`.

/// The product's options, as in the manifest above.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
]

/// The benchmarks' own: without the memory-safety marks.
let relaxed: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
    name: "broker-benchmarks",
    targets: [
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CSIMD"),
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CCallgrind", providers: [.apt(["valgrind"])]),
        .target(name: "WSTransport", dependencies: ["CLinux", "COpenSSL", "CSIMD", "CZlib"], swiftSettings: strict),
        .target(name: "Cryptography", dependencies: ["COpenSSL", "WSTransport"], swiftSettings: strict),
        .target(
            name: "Broker", dependencies: ["Cryptography", "WSTransport", "CLMDB", "CSIMD", "CYAML"],
            swiftSettings: strict),
        .target(name: "Counting", dependencies: ["CCallgrind"], swiftSettings: relaxed),
        // The subscription tree is generic and is specialised where it is used: so its sources are here once more.
        .target(name: "TopicFigures", dependencies: ["Counting"], swiftSettings: relaxed),
        .executableTarget(
            name: "counted", dependencies: ["Broker", "WSTransport", "Counting", "TopicFigures"],
            path: "Sources/Counted", swiftSettings: relaxed),
        .target(name: "Load", dependencies: ["WSTransport"], swiftSettings: strict),
        .executableTarget(
            name: "peerload", dependencies: ["Load", "WSTransport"], path: "Sources/PeerLoad", swiftSettings: relaxed),
        .executableTarget(
            name: "machineecho", dependencies: ["WSTransport"], path: "Sources/MachineEcho", swiftSettings: relaxed),
    ]
)
