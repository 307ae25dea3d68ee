// swift-tools-version: 6.2
import PackageDescription

/// Language settings shared by every Swift target of the house.
let house: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    // Otherwise each generic type is put together from its name when it is first needed, which asks for each key of a
    // dictionary anew whether it is Hashable: a walk over the program's 5,000 conformances, sixty times before one message
    // is sent.
    .unsafeFlags(
        ["-Xfrontend", "-disable-concrete-type-metadata-mangled-name-accessors"], .when(configuration: .release)),
    // A section of its own for each function, so that the linker leaves out those that nothing calls.
    .unsafeFlags(["-Xfrontend", "-function-sections"], .when(configuration: .release)),
]

/// What simulated worlds spend their time in: optimized in debug builds too, where generic types would be put together anew at
/// each step of a loop, so that all unit tests together work little more than half as long. What a debug build asserts is
/// asserted there as well.
let hot: [SwiftSetting] =
    house + [.unsafeFlags(["-O", "-assert-config", "Debug"], .when(configuration: .debug))]

/// What a program does before its first line. The static standard library asks the linker to export every symbol, for
/// programs that load plug-ins: these load none, and each of 14,000 exported symbols costs room and time. 56,000 addresses
/// in the program depend on where it is loaded: as a table of 1.3 MB, or packed (which the linker of the toolchain does, and
/// glibc 2.36 reads). What Sources/Link has is linked statically. Of 16 MB of functions a command runs two: they stand side by
/// side (Sources/order.sh finds them), so that a process has half the pages of the program. Names that are no more are
/// passed over.
let quickStart: [LinkerSetting] = [
    .unsafeFlags(
        [
            "-use-ld=lld", "-Xlinker", "--no-export-dynamic", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs",
            "-L\(Context.packageDirectory)/Sources/Link",
            "-Xlinker", "--symbol-ordering-file=\(Context.packageDirectory)/Sources/Link/order.txt",
            "-Xlinker", "--no-warn-symbol-ordering",
            "-Xlinker", "-T", "-Xlinker", "\(Context.packageDirectory)/Sources/Link/small.ld",
        ], .when(configuration: .release))
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
    _ name: String, on dependencies: [Target.Dependency], path: String? = nil, exclude: [String] = [],
    settings: [SwiftSetting] = house
) -> Target {
    .target(name: name, dependencies: dependencies, path: path, exclude: exclude, swiftSettings: settings)
}

func tests(_ name: String, of dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies + ["DeP2PTestSupport", "DeP2PSimulation", "DeP2PReactor"],
        path: "Tests/\(name)", resources: resources, swiftSettings: house)
}

let package = Package(
    name: "dep2p",
    products: [
        .library(name: "DeP2P", targets: ["DeP2P"]),
        .executable(name: "dep2p", targets: ["DeP2PCLI"]),
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
            name: "DeP2PCLI",
            dependencies: ["DeP2P", logging], path: "Sources/CLI", swiftSettings: house,
            linkerSettings: quickStart),
        floor(
            "DeP2P",
            on: [
                "DeP2PApp", "DeP2PRealm", "DeP2PDiscovery", "DeP2PReach", "DeP2PSessions", "DeP2PQUIC", "DeP2PReactor",
                "DeP2PStorage", "DeP2PHTTP", "DeP2PIdentity", deque,
            ]),
        floor(
            "DeP2PApp",
            on: [
                "DeP2PRealm", "DeP2PSessions", "DeP2PQUIC", "DeP2PReactor", "DeP2PWire", "DeP2PIdentity",
                "CDeP2PSystem", protobuf, deque,
            ], path: "Sources/AppLayer"),
        floor(
            "DeP2PRealm",
            on: [
                "DeP2PDiscovery", "DeP2PSessions", "DeP2PQUIC", "DeP2PReactor", "DeP2PWire", "DeP2PIdentity", protobuf,
            ],
            path: "Sources/RealmLayer"),
        floor(
            "DeP2PDiscovery",
            on: ["DeP2PReach", "DeP2PSessions", "DeP2PReactor", "DeP2PWire", "DeP2PIdentity", protobuf, heap],
            path: "Sources/SystemLayer/Discovery"),
        floor(
            "DeP2PReach",
            on: [
                "DeP2PSessions", "DeP2PQUIC", "DeP2PReactor", "DeP2PStorage", "DeP2PWire", "DeP2PIdentity",
                "CDeP2PMiniUPnPc", "CDeP2PCares", "CDeP2PZlib",
                protobuf,
            ],
            path: "Sources/SystemLayer/Reach"),
        floor(
            "DeP2PSessions", on: ["DeP2PQUIC", "DeP2PReactor", "DeP2PStorage", "DeP2PWire", "DeP2PIdentity", protobuf],
            path: "Sources/SystemLayer/Sessions", settings: hot),
        floor(
            "DeP2PQUIC",
            on: [
                "DeP2PReactor", "DeP2PIdentity", "CDeP2PQUICShim", "CDeP2PReactor", "CDeP2PNgtcp2", "CDeP2PGnuTLS",
                "CDeP2POpenSSL", deque,
            ],
            path: "Sources/QUIC", settings: hot),
        floor("DeP2PHTTP", on: ["DeP2PReactor", "DeP2PIdentity", "CDeP2PReactor"], path: "Sources/HTTP"),
        floor(
            "DeP2PReactor", on: ["DeP2PIdentity", "CDeP2PReactor", heap, logging], path: "Sources/Reactor",
            settings: hot),
        floor("DeP2PWire", on: ["DeP2PIdentity", protobuf], path: "Sources/Wire", exclude: ["Protos"]),
        floor(
            "DeP2PIdentity", on: ["CDeP2PSystem", "CDeP2POpenSSL", "CDeP2PSodium", "CDeP2PIPSecMB"],
            path: "Sources/Identity", settings: hot),
        floor("DeP2PStorage", on: ["DeP2PIdentity", "CDeP2PSQLite"], path: "Sources/Storage"),
        .target(name: "CDeP2PSystem", path: "Sources/CSystem"),
        .target(name: "CDeP2PReactor", dependencies: ["CDeP2POpenSSL"], path: "Sources/CReactor"),
        .target(
            name: "CDeP2PQUICShim",
            dependencies: [
                "CDeP2PReactor", "CDeP2PNgtcp2", "CDeP2PGnuTLS", "CDeP2POpenSSL", "CDeP2PSodium", "CDeP2PIPSecMB",
            ],
            path: "Sources/CQUICShim", linkerSettings: [.linkedLibrary("hogweed"), .linkedLibrary("gmp")]),
        // libminiupnpc-dev: UPnP port mapping.
        .target(name: "CDeP2PMiniUPnPc", path: "Sources/CMiniUPnPc", linkerSettings: [.linkedLibrary("miniupnpc")]),
        // libc-ares-dev: text records of DNS.
        .target(name: "CDeP2PCares", path: "Sources/CCares", linkerSettings: [.linkedLibrary("cares")]),
        // libipsec-mb-dev, which exists for x86-64 only: many SHA-256 at once. Elsewhere OpenSSL hashes alone.
        .target(name: "CDeP2PIPSecMB", path: "Sources/CIPSecMB", linkerSettings: multiBuffer),
        // The one that needs the other comes first: both are static where Sources/ngtcp2.sh has built them. Installing or
        // removing that build changes the flags, so that what stood linked is linked again.
        .systemLibrary(
            name: "CDeP2PNgtcp2", path: "Sources/CNgtcp2", pkgConfig: "libngtcp2_crypto_gnutls libngtcp2",
            providers: [.apt(["libngtcp2-dev", "libngtcp2-crypto-gnutls-dev"])]),
        .systemLibrary(
            name: "CDeP2PGnuTLS", path: "Sources/CGnuTLS", pkgConfig: "gnutls", providers: [.apt(["libgnutls28-dev"])]),
        .systemLibrary(
            name: "CDeP2POpenSSL", path: "Sources/COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CDeP2PSQLite", path: "Sources/CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(
            name: "CDeP2PZlib", path: "Sources/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(
            name: "CDeP2PSodium", path: "Sources/CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),

        .executableTarget(
            name: "DeP2PBenchmarks",
            dependencies: [
                "DeP2P", "DeP2PApp", "DeP2PRealm", "DeP2PReach", "DeP2PSessions", "DeP2PQUIC", "DeP2PReactor",
                "DeP2PIdentity", "DeP2PSimulation",
            ],
            path: "Tests/Benchmarks/Engine", swiftSettings: house, linkerSettings: quickStart),
        // Not part of the product: a world in memory on virtual time.
        .target(
            name: "DeP2PSimulation",
            dependencies: [
                "DeP2P", "DeP2PApp", "DeP2PDiscovery", "DeP2PReach", "DeP2PSessions", "DeP2PQUIC", "DeP2PReactor",
                "DeP2PStorage", "DeP2PIdentity", heap,
            ],
            path: "Tests/Simulation", resources: [.embedInCode("Light/DHT/round-trips.txt")], swiftSettings: hot),
        .target(
            name: "DeP2PTestSupport", dependencies: ["DeP2PReactor", "DeP2PIdentity"], path: "Tests/TestSupport",
            swiftSettings: house),
        tests("IdentityTests", of: ["DeP2PIdentity", "CDeP2PSodium"], resources: [.copy("Vectors")]),
        tests(
            "SimulationTests",
            of: ["DeP2P", "DeP2PApp", "DeP2PDiscovery", "DeP2PReach", "DeP2PSessions", "DeP2PQUIC", "DeP2PIdentity"]),
        tests("StorageTests", of: ["DeP2PStorage", "DeP2PIdentity"]),
        tests("WireTests", of: ["DeP2PWire", "DeP2PIdentity"]),
        tests("ReactorTests", of: ["DeP2PIdentity", logging]),
        tests(
            "QUICTests", of: ["DeP2PQUIC", "CDeP2PQUICShim", "CDeP2PGnuTLS", "CDeP2PIPSecMB", "DeP2PIdentity"],
            resources: [.copy("Vectors")]),
        tests(
            "SessionsTests",
            of: ["DeP2PSessions", "DeP2PStorage", "DeP2PWire", "DeP2PQUIC", "DeP2PIdentity"]),
        tests(
            "ReachTests",
            of: [
                "DeP2PReach", "DeP2PSessions", "DeP2PStorage", "DeP2PWire", "DeP2PQUIC",
                "DeP2PIdentity",
            ],
            resources: [.copy("Vectors")]),
        tests(
            "DiscoveryTests",
            of: ["DeP2PDiscovery", "DeP2PReach", "DeP2PSessions", "DeP2PIdentity"],
            resources: [.copy("Vectors")]),
        tests(
            "RealmLayerTests",
            of: [
                "DeP2PDiscovery",
                "DeP2PRealm", "DeP2PReach", "DeP2PSessions", "DeP2PWire", "DeP2PQUIC",
                "DeP2PIdentity",
            ]),
        tests(
            "AppLayerTests",
            of: [
                "DeP2PApp", "DeP2PRealm", "DeP2PReach", "DeP2PSessions", "DeP2PWire",
                "DeP2PQUIC",
                "DeP2PIdentity", protobuf,
            ],
            resources: [.copy("Vectors")]),
        tests(
            "DeP2PTests",
            of: [
                "DeP2P", "DeP2PApp", "DeP2PRealm", "DeP2PDiscovery", "DeP2PReach", "DeP2PSessions", "DeP2PQUIC",
                "DeP2PStorage", "DeP2PIdentity",
            ]),
        tests("HTTPTests", of: ["DeP2PHTTP", "DeP2PIdentity"]),
        tests(
            "CLITests",
            of: [
                "DeP2PCLI", "DeP2P", "DeP2PApp", "DeP2PRealm", "DeP2PReach", "DeP2PSessions", "DeP2PIdentity", logging,
            ],
            resources: [.copy("Transcripts")]),
    ],
    swiftLanguageModes: [.v6]
)
