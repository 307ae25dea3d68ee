// swift-tools-version: 6.2
import PackageDescription

/// Language settings shared by every Swift target of the house.
let house: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

#if arch(x86_64)
    let multiBuffer: [LinkerSetting] = [.linkedLibrary("IPSec_MB")]
#else
    let multiBuffer: [LinkerSetting] = []
#endif

let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

func floor(
    _ name: String, on dependencies: [Target.Dependency], path: String? = nil, exclude: [String] = []
) -> Target {
    .target(name: name, dependencies: dependencies, path: path, exclude: exclude, swiftSettings: house)
}

func tests(_ name: String, of dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies + ["TestSupport", "DeP2PSimulation", "DeP2PReactor"],
        path: "Tests/\(name)", resources: resources, swiftSettings: house)
}

let package = Package(
    name: "dep2p",
    products: [
        .library(name: "DeP2P", targets: ["DeP2P"]),
        .executable(name: "dep2p", targets: ["CLI"]),
    ],
    dependencies: [
        // Without the default traits: nothing here uses them, and two of them reach the compiler in random order, so that
        // every other build would compile the package anew.
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0", traits: []),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    ],
    targets: [
        .executableTarget(
            name: "CLI",
            dependencies: [
                "DeP2P", "AppLayer", "RealmLayer", "DeP2PReach", "DeP2PSessions", "QUIC", "DeP2PReactor", "Identity",
                logging,
            ],
            swiftSettings: house),
        floor(
            "DeP2P",
            on: [
                "AppLayer", "RealmLayer", "DeP2PReach", "DeP2PSessions", "QUIC", "DeP2PReactor", "DeP2PStorage",
                "Identity",
            ]),
        floor(
            "AppLayer",
            on: [
                "RealmLayer", "DeP2PSessions", "QUIC", "DeP2PReactor", "Wire", "Identity", "CSystem", protobuf,
                deque,
            ]),
        floor("RealmLayer", on: ["DeP2PSessions", "QUIC", "DeP2PReactor", "Wire", "Identity", protobuf]),
        floor(
            "DeP2PReach",
            on: [
                "DeP2PSessions", "QUIC", "DeP2PReactor", "DeP2PStorage", "Wire", "Identity", "CMiniUPnPc", "CZlib",
                protobuf,
            ],
            path: "Sources/SystemLayer/Reach"),
        floor(
            "DeP2PSessions", on: ["QUIC", "DeP2PReactor", "DeP2PStorage", "Wire", "Identity", protobuf],
            path: "Sources/SystemLayer/Sessions"),
        floor(
            "QUIC", on: ["DeP2PReactor", "Identity", "CQUICShim", "CReactor", "CNgtcp2", "CGnuTLS", "COpenSSL", deque]),
        floor("DeP2PReactor", on: ["Identity", "CReactor", heap, logging], path: "Sources/Reactor"),
        floor("Wire", on: ["Identity", protobuf], exclude: ["Protos"]),
        floor("Identity", on: ["CSystem", "COpenSSL", "CSodium", "CIPSecMB"]),
        floor("DeP2PStorage", on: ["Identity", "CSQLite"], path: "Sources/Storage"),
        .target(name: "CSystem"),
        .target(name: "CReactor", dependencies: ["COpenSSL"]),
        .target(name: "CQUICShim", dependencies: ["CReactor", "CNgtcp2", "CGnuTLS", "COpenSSL"]),
        // libminiupnpc-dev: UPnP port mapping.
        .target(name: "CMiniUPnPc", linkerSettings: [.linkedLibrary("miniupnpc")]),
        // libipsec-mb-dev, which exists for x86-64 only: many SHA-256 at once. Elsewhere OpenSSL hashes alone.
        .target(name: "CIPSecMB", linkerSettings: multiBuffer),
        // The one that needs the other comes first: both are static where Sources/ngtcp2.sh has built them. Installing or
        // removing that build changes the flags, so that what stood linked is linked again.
        .systemLibrary(
            name: "CNgtcp2", pkgConfig: "libngtcp2_crypto_gnutls libngtcp2",
            providers: [.apt(["libngtcp2-dev", "libngtcp2-crypto-gnutls-dev"])]),
        .systemLibrary(name: "CGnuTLS", pkgConfig: "gnutls", providers: [.apt(["libgnutls28-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),

        .executableTarget(
            name: "Benchmarks",
            dependencies: ["DeP2P", "AppLayer", "DeP2PReach", "DeP2PSessions", "QUIC", "DeP2PReactor", "Identity"],
            path: "Tests/Benchmarks/Engine", swiftSettings: house),
        // Not part of the product: a network in memory on virtual time.
        .target(
            name: "DeP2PSimulation", dependencies: ["DeP2PReactor", "Identity"], path: "Tests/Simulation",
            swiftSettings: house),
        .target(
            name: "TestSupport", dependencies: ["QUIC", "DeP2PReactor", "Identity"], path: "Tests/TestSupport",
            swiftSettings: house),
        .target(
            name: "SessionTestSupport",
            dependencies: [
                "TestSupport", "DeP2PSimulation", "DeP2PReach", "DeP2PSessions", "QUIC", "DeP2PReactor", "Identity",
            ],
            path: "Tests/SessionTestSupport", swiftSettings: house),
        tests("IdentityTests", of: ["Identity"], resources: [.copy("Vectors")]),
        tests("StorageTests", of: ["SessionTestSupport", "DeP2PStorage"]),
        tests("WireTests", of: ["SessionTestSupport", "Wire", "Identity"]),
        tests("ReactorTests", of: ["Identity", logging]),
        tests("QUICTests", of: ["QUIC", "CQUICShim", "Identity"], resources: [.copy("Vectors")]),
        tests(
            "SessionsTests",
            of: ["SessionTestSupport", "DeP2PSessions", "DeP2PStorage", "Wire", "QUIC", "Identity"]),
        tests(
            "ReachTests",
            of: ["SessionTestSupport", "DeP2PReach", "DeP2PSessions", "DeP2PStorage", "Wire", "QUIC", "Identity"],
            resources: [.copy("Vectors")]),
        tests(
            "RealmLayerTests",
            of: ["SessionTestSupport", "RealmLayer", "DeP2PReach", "DeP2PSessions", "Wire", "QUIC", "Identity"]),
        tests(
            "AppLayerTests",
            of: [
                "SessionTestSupport", "AppLayer", "RealmLayer", "DeP2PReach", "DeP2PSessions", "Wire", "QUIC",
                "Identity", protobuf,
            ],
            resources: [.copy("Vectors")]),
        tests(
            "DeP2PTests",
            of: ["DeP2P", "AppLayer", "RealmLayer", "DeP2PReach", "DeP2PSessions", "QUIC", "DeP2PStorage", "Identity"]),
        tests(
            "CLITests",
            of: ["CLI", "DeP2P", "AppLayer", "RealmLayer", "DeP2PReach", "DeP2PSessions", "Identity", logging],
            resources: [.copy("Transcripts")]),
    ],
    swiftLanguageModes: [.v6]
)
