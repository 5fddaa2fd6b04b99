// swift-tools-version: 6.2
import PackageDescription

/// What Tests/Fuzz looks at.
let fuzzed: [Target.Dependency] = [
  "mailwarden", "Milter", "MilterClient", "WardenAlerts", "WardenControl", "WardenCore", "WardenFeeds", "WardenPolicy",
  "WardenReplay", "WardenScript", "WardenStore",
  .product(name: "Hummingbird", package: "hummingbird"),
  .product(name: "Logging", package: "swift-log"),
  .product(name: "NIOEmbedded", package: "swift-nio"),
  .product(name: "NIOHTTP1", package: "swift-nio"),
  .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
]

let package = Package(
  name: "mailwarden",
  products: [
    .library(name: "Milter", targets: ["Milter"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    // Without its default traits Hummingbird brings neither TLS nor configuration sources along.
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
  ],
  targets: [
    .target(name: "CLibmilter", linkerSettings: [.linkedLibrary("milter")]),
    .target(name: "Milter", dependencies: ["CLibmilter"]),
    .target(name: "WardenCore"),
    .target(name: "WardenPolicy", dependencies: ["WardenCore", .product(name: "Yams", package: "Yams")]),
    .target(name: "WardenScript", dependencies: ["WardenCore"]),
    .target(
      name: "WardenStore",
      dependencies: [
        "WardenCore",
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "GRDBSQLite", package: "GRDB.swift"),
      ]),
    // WardenControl/Page in the program itself: it needs no place of its own, where others could change it.
    .target(name: "CPageFiles"),
    // What every listener that speaks HTTP needs.
    .target(
      name: "WardenHTTP",
      dependencies: [
        "WardenCore",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
      ]),
    .target(
      name: "WardenControl",
      dependencies: [
        "CPageFiles", "WardenCore", "WardenHTTP",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOFoundationCompat", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
      ], exclude: ["Page"]),
    .target(
      name: "WardenAlerts",
      dependencies: [
        "WardenCore",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Mustache", package: "swift-mustache"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "Subprocess", package: "swift-subprocess"),
      ]),
    .target(
      name: "WardenFeeds",
      dependencies: [
        "WardenCore", "WardenHTTP",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOFoundationCompat", package: "swift-nio"),
      ]),
    .target(name: "WardenReplay", dependencies: ["WardenCore"]),
    // What `top` and `watch` show, without a terminal.
    .target(name: "WardenScreen", dependencies: ["WardenControl", "WardenCore"]),
    .executableTarget(
      name: "mailwarden",
      dependencies: [
        "Milter", "WardenAlerts", "WardenControl", "WardenCore", "WardenFeeds", "WardenPolicy", "WardenReplay",
        "WardenScreen", "WardenScript", "WardenStore",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ]),

    // Plays the MTA in the milter protocol, for tests and benchmarks of any milter.
    .target(name: "MilterClient"),

    .executableTarget(
      name: "bare-filter", path: "Benchmarks/BareFilter", linkerSettings: [.linkedLibrary("milter")]),
    .executableTarget(name: "milter-load", dependencies: ["MilterClient"], path: "Benchmarks/MilterLoad"),

    .executableTarget(
      name: "core-bench",
      dependencies: ["WardenCore", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      path: "Benchmarks/CoreBench"),
    .executableTarget(
      name: "state-bench",
      dependencies: [
        "MilterClient", "WardenCore", "WardenPolicy", "WardenStore",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Benchmarks/StateBench"),

    .executableTarget(
      name: "log-bench",
      dependencies: [
        "WardenCore", "WardenFeeds", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Benchmarks/LogBench"),

    .target(name: "HijackTraffic", dependencies: ["WardenCore"], path: "Benchmarks/HijackSuite/Traffic"),
    .executableTarget(
      name: "hijack-suite",
      dependencies: [
        "HijackTraffic", "WardenCore", "WardenPolicy",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Benchmarks/HijackSuite/Suite"),

    .executableTarget(name: "recipient-count", dependencies: ["Milter"], path: "Examples/RecipientCount"),
    .executableTarget(name: "demo", dependencies: ["WardenTestKit"], path: "Examples/Demo", exclude: ["policy.yaml"]),

    // Runs the core for days of simulated time and the daemon for as long as wanted, and checks both against books of its own.
    .executableTarget(
      name: "soak",
      dependencies: [
        "MilterClient", "WardenCore", "WardenPolicy", "WardenStore", "WardenTestKit",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Tests/Soak"),

    // Refuses what says SPAMTEST, as a spam filter would.
    .executableTarget(name: "spam-filter", dependencies: ["Milter"], path: "Tests/SpamFilter"),
    .target(
      name: "WardenTestKit", dependencies: ["MilterClient", "WardenCore", "WardenScript"], path: "Tests/Support",
      exclude: ["mta"]),
    .testTarget(name: "WardenCoreTests", dependencies: ["WardenCore"]),
    .testTarget(
      name: "WardenPolicyTests", dependencies: ["WardenPolicy", "WardenTestKit"],
      exclude: ["BadPolicies", "beyond-the-schema.txt"]),
    .testTarget(
      name: "WardenAlertsTests",
      dependencies: ["WardenAlerts", "WardenTestKit", .product(name: "Logging", package: "swift-log")],
      exclude: ["Receivers"]),
    .testTarget(
      name: "WardenControlTests",
      dependencies: [
        "WardenControl", "WardenCore", "WardenHTTP", "WardenTestKit",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "Yams", package: "Yams"),
      ]),
    .testTarget(
      name: "WardenFeedsTests", dependencies: ["WardenFeeds", "WardenCore", "WardenTestKit"], exclude: ["Fixtures"]),
    .testTarget(name: "WardenReplayTests", dependencies: ["WardenReplay", "WardenCore", "WardenTestKit"]),
    .testTarget(
      name: "WardenScreenTests", dependencies: ["WardenScreen", "WardenControl", "WardenCore", "WardenTestKit"]),
    .testTarget(name: "WardenScriptTests", dependencies: ["WardenScript", "WardenCore"]),
    .testTarget(
      name: "WardenStoreTests",
      dependencies: ["WardenStore", "WardenCore", .product(name: "GRDB", package: "GRDB.swift")]),
    .testTarget(
      name: "FuzzTests", dependencies: fuzzed, path: "Tests/Fuzz",
      exclude: ["Corpora", "Dictionaries", "README.md", "Runner", "fuzz.sh", "policy.yaml"],
      sources: ["Targets", "CorpusTests.swift"]),
    .testTarget(name: "HijackSuiteTests", dependencies: ["HijackTraffic"]),
    .testTarget(name: "MilterTests", dependencies: ["Milter"]),
    .testTarget(
      name: "IntegrationTests",
      dependencies: [
        "mailwarden", "recipient-count", "soak", "spam-filter", "WardenPolicy", "WardenReplay", "WardenScript",
        "WardenTestKit",
        "MilterClient",
      ],
      exclude: ["Sessions"]),
  ]
)

// Developers build for debugging, and shall not grow used to warnings; users of another compiler's get their release.
for target in package.targets {
  target.swiftSettings = [.treatAllWarnings(as: .error, .when(configuration: .debug))]
}

// `make fuzz`: our modules tell the fuzzer what it has reached. The daemon is a library there, since the fuzzer is the
// program.
if Context.environment["MAILWARDEN_FUZZ"] != nil {
  let daemon = package.targets.first { $0.name == "mailwarden" }!
  package.targets.removeAll { [.executable, .test].contains($0.type) || $0.name == "WardenTestKit" }
  package.targets += [
    .target(name: "mailwarden", dependencies: daemon.dependencies, exclude: ["Mailwarden.swift"]),
    .executableTarget(
      name: "fuzz", dependencies: fuzzed, path: "Tests/Fuzz",
      exclude: ["Corpora", "CorpusTests.swift", "Dictionaries", "README.md", "fuzz.sh", "policy.yaml"],
      sources: ["Runner", "Targets"], linkerSettings: [.unsafeFlags(["-sanitize=address"])]),
  ]
  for target in package.targets {
    target.swiftSettings = [
      .unsafeFlags(["-sanitize=fuzzer,address", "-enable-testing", "-assert-config", "Debug"])
    ]
  }
}
