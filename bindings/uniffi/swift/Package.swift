// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "vidcache",
    products: [.library(name: "Vidcache", targets: ["Vidcache"])],
    targets: [
        // The header of the native library, which is built by cargo: README.md says how.
        .systemLibrary(name: "VidcacheFFI"),
        .target(
            name: "Vidcache",
            dependencies: ["VidcacheFFI"],
            linkerSettings: [.linkedLibrary("vidcache_uniffi")]
        ),
        .testTarget(name: "VidcacheTests", dependencies: ["Vidcache"]),
    ]
)
