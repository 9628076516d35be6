// swift-tools-version: 6.2
import PackageDescription

// Layers, lowest first (DESIGN: arrows point down only):
//   CSpawn, CSystemd  <-  Linux
//   Vocabulary (pure: what several layers mean)  <-  Engine, UnitFiles, Linux, ControlProtocol
//   Engine, UnitFiles (pure: standard library and swift-collections only)
//   UnitStore         (unit files on this host: where they are, who may have written them; used by daemon and verify)
//   ControlProtocol   (Varlink messages, shared by both ends)
//   StateCoding       (Codable values as bytes, for what the supervisor keeps about itself)
//   Multibinder       (multibinder's wire protocol)
//   Supervisor        (the one actor: effects -> calls, calls -> events)
//   holdfastd, holdfastctl; holdfast-render, holdfast-multibinder, holdfast-static and holdfast-probe stand alone.

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

let package = Package(
    name: "holdfast",
    products: [
        .executable(name: "holdfastd", targets: ["holdfastd"]),
        .executable(name: "holdfastctl", targets: ["holdfastctl"]),
        .executable(name: "holdfast-render", targets: ["holdfast-render"]),
        .executable(name: "holdfast-multibinder", targets: ["holdfast-multibinder"]),
        .executable(name: "holdfast-static", targets: ["holdfast-static"]),
        .executable(name: "holdfast-probe", targets: ["holdfast-probe"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
    ],
    targets: [
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        .target(name: "CSpawn", cSettings: [.treatAllWarnings(as: .error)]),
        .target(name: "Vocabulary", swiftSettings: strict),
        .target(
            name: "Engine",
            dependencies: [
                "Vocabulary",
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "OrderedCollections", package: "swift-collections"),
            ],
            swiftSettings: strict),
        .target(
            name: "UnitFiles",
            dependencies: ["Vocabulary", .product(name: "OrderedCollections", package: "swift-collections")],
            swiftSettings: strict),
        .target(
            name: "Linux",
            dependencies: [
                "CSystemd", "CSpawn", "Vocabulary", .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .target(name: "UnitStore", dependencies: ["UnitFiles", "Linux"], swiftSettings: strict),
        // The interface is one file, which is packaged and compiled in: no second copy in Swift that could differ.
        .target(
            name: "ControlProtocol", dependencies: ["Vocabulary"],
            resources: [.embedInCode("io.holdfast.Manager.varlink")], swiftSettings: strict),
        .target(name: "StateCoding", swiftSettings: strict),
        .target(
            name: "Supervisor",
            dependencies: [
                "Vocabulary", "Engine", "UnitFiles", "Linux", "UnitStore", "ControlProtocol", "StateCoding",
                "Multibinder",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "holdfastd",
            dependencies: [
                "Supervisor", "Linux", "UnitStore", "ControlProtocol",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "holdfastctl",
            dependencies: [
                "ControlProtocol", "UnitFiles", "UnitStore", "Linux",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        // Programs of their own, because the daemon links no Foundation, and because a rendered file is work that may block.
        .target(
            name: "RenderCore", dependencies: [.product(name: "Mustache", package: "swift-mustache")],
            swiftSettings: strict),
        .executableTarget(name: "holdfast-render", dependencies: ["RenderCore"], swiftSettings: strict),
        // multibinder's protocol, for the daemon and for the drop-in program.
        .target(
            name: "Multibinder", dependencies: ["Linux", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: strict),
        .executableTarget(name: "holdfast-multibinder", dependencies: ["Multibinder", "Linux"], swiftSettings: strict),
        .target(
            name: "StaticCore",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "holdfast-static",
            dependencies: ["StaticCore", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: strict),
        .systemLibrary(name: "CEpoll"),
        .target(
            name: "ProbeCore",
            dependencies: ["CEpoll", .product(name: "Histogram", package: "hdrhistogram-swift")],
            swiftSettings: strict),
        .executableTarget(
            name: "holdfast-probe",
            dependencies: ["ProbeCore", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: strict),
        .testTarget(name: "EngineTests", dependencies: ["Vocabulary", "Engine", "StateCoding"], swiftSettings: strict),
        .testTarget(name: "StateCodingTests", dependencies: ["StateCoding"], swiftSettings: strict),
        .testTarget(name: "UnitFilesTests", dependencies: ["Vocabulary", "UnitFiles"], swiftSettings: strict),
        .testTarget(name: "UnitStoreTests", dependencies: ["UnitStore", "UnitFiles", "Linux"], swiftSettings: strict),
        .testTarget(
            name: "LinuxTests",
            dependencies: ["Vocabulary", "Linux", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: strict),
        .testTarget(
            name: "ControlProtocolTests", dependencies: ["ControlProtocol", "Vocabulary"], swiftSettings: strict),
        .testTarget(
            name: "HoldfastctlTests", dependencies: ["holdfastctl", "ControlProtocol", "UnitFiles"],
            swiftSettings: strict),
        .testTarget(
            name: "SupervisorTests",
            dependencies: [
                "Supervisor", "ControlProtocol", "Engine", "Linux", "StateCoding", "UnitFiles", "UnitStore",
                "Vocabulary", "Multibinder",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .testTarget(name: "RenderCoreTests", dependencies: ["RenderCore"], swiftSettings: strict),
        .testTarget(name: "MultibinderTests", dependencies: ["Multibinder"], swiftSettings: strict),
        .testTarget(name: "StaticCoreTests", dependencies: ["StaticCore"], swiftSettings: strict),
        .testTarget(name: "ProbeCoreTests", dependencies: ["ProbeCore"], swiftSettings: strict),
        .testTarget(name: "EndToEndTests", dependencies: ["ControlProtocol", "UnitFiles"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
