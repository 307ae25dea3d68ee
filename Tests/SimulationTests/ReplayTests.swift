import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

/// Issue 9.2: the same seed gives the same events, byte for byte, in two processes, whose hashes have other seeds.
@Suite struct ReplayTests {
    /// Set in the processes that this test starts: where to write the trace, and of which seed.
    private static let (file, seed) = ("DEP2P_REPLAY_FILE", "DEP2P_REPLAY_SEED")

    @Test(arguments: [1, 77] as [UInt64]) func theSameSeedGivesTheSameTraceInTwoProcesses(seed: UInt64) async throws {
        if let file = Self.variable(Self.file) {
            // One of the two processes; each of them has one case.
            guard Self.variable(Self.seed) == "\(seed)" else { return }
            try Self.write(try await ReplayScenario.trace(seed: seed), to: file)
            return
        }
        let folder = try TemporaryFolder()
        let traces = try ["one", "other"].map { name in
            let file = "\(folder.path)/\(name)"
            try #require(Self.child(file: file, seed: seed) == 0)
            return try Self.read(file)
        }
        let lines = traces.map { $0.split(separator: "\n") }
        #expect(lines[0].count > 1_000)
        let difference = zip(lines[0], lines[1]).enumerated().first { $0.element.0 != $0.element.1 }
        #expect(difference == nil, "\(String(describing: difference))")
        #expect(traces[0] == traces[1])
        #expect(lines[0].contains { $0.hasSuffix("moved punched") }, "hole punching is part of it")
    }

    @Test func anotherSeedGivesAnotherTrace() async throws {
        let (one, other) = (try await ReplayScenario.trace(seed: 3), try await ReplayScenario.trace(seed: 4))
        #expect(one != other)
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    private static func write(_ text: String, to path: String) throws {
        let file = try #require(fopen(path, "w"))
        defer { fclose(file) }
        try #require(fputs(text, file) >= 0)
    }

    private static func read(_ path: String) throws -> String {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// This program again, for this test alone; its status.
    private static func child(file path: String, seed value: UInt64) throws -> Int32 {
        let words = [
            "/proc/self/exe", "--testing-library", "swift-testing", "--no-parallel", "--filter",
            "ReplayTests/theSameSeedGivesTheSameTraceInTwoProcesses",
        ]
        // Its hashes are seeded anew, whatever this process's are.
        var environment = Sequence.variables.filter {
            !$0.hasPrefix("SWIFT_DETERMINISTIC_HASHING=") && !$0.hasPrefix("\(file)=") && !$0.hasPrefix("\(seed)=")
        }
        environment += ["\(file)=\(path)", "\(seed)=\(value)"]
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        var pointers = (words.map { strdup($0) }, environment.map { strdup($0) })
        defer { for pointer in pointers.0 + pointers.1 { free(pointer) } }
        pointers.0.append(nil)
        pointers.1.append(nil)
        var process = pid_t()
        try #require(posix_spawn(&process, words[0], &actions, nil, pointers.0, pointers.1) == 0)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status
    }

    private enum Sequence {
        /// This process's environment.
        static var variables: [String] {
            var result: [String] = []
            var next = environ
            while let entry = next.pointee {
                result.append(String(cString: entry))
                next += 1
            }
            return result
        }
    }
}
