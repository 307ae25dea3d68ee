// swift-tools-version: 6.2
import PackageDescription

// An application like anybody's: of the repository it knows the product DeP2P, and imports nothing else.
let package = Package(
    name: "application",
    dependencies: [.package(name: "dep2p", path: "../..")],
    targets: [
        .executableTarget(
            name: "Application", dependencies: [.product(name: "DeP2P", package: "dep2p")], path: "Sources",
            swiftSettings: [
                .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
                .enableUpcomingFeature("MemberImportVisibility"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
