import DeP2PSimulation
import DeP2PTestSupport
import Glibc

/// A folder of its own in which the built program runs under a shell, with an environment that holds nothing of the
/// user's.
final class Sandbox {
    struct Outcome {
        let output: [UInt8]
        let error: [UInt8]
        /// As a shell shows it: the exit status, or 128 and the signal.
        let status: Int32

        var outputText: String { String(decoding: output, as: UTF8.self) }
        var errorText: String { String(decoding: error, as: UTF8.self) }
    }

    struct Failure: Error { let message: String }

    private let temporary: TemporaryFolder
    var path: String { temporary.path }
    /// A process that runs longer hangs; killing it turns the hang into a failure.
    private static let longestRun = 60_000

    init() throws {
        temporary = try TemporaryFolder()
        mkdir(path + "/home", 0o700)
    }

    /// The folder of the program under test: that of the test bundle.
    static let programFolder: String = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }
    }()

    var environment: [String] {
        [
            "PATH=\(Self.programFolder):/usr/bin:/bin", "HOME=\(path)/home", "TMPDIR=\(path)/home", "LC_ALL=C.UTF-8",
            "TERM=dumb", "DEP2P_NO_MDNS=1",
        ]
    }

    /// Runs a line under `sh -c` in the sandbox.
    func run(_ line: String, environment more: [String] = []) throws -> Outcome {
        let names = (output: path + "/.stdout", error: path + "/.stderr")
        let status = try Self.spawn(
            ["sh", "-c", "cd \(path) || exit 99\n" + line], environment: environment + more, output: names.output,
            error: names.error)
        defer {
            unlink(names.output)
            unlink(names.error)
        }
        return Outcome(output: Self.read(names.output) ?? [], error: Self.read(names.error) ?? [], status: status)
    }

    func write(_ text: String, to name: String, mode: mode_t = 0o600) {
        let descriptor = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, mode)
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        _ = Glibc.write(descriptor, bytes, bytes.count)
    }

    static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return result }
            result += buffer[..<count]
        }
    }

    @discardableResult
    private static func spawn(
        _ arguments: [String], environment: [String], output: String = "/dev/null", error: String = "/dev/null"
    ) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, error, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        return try wait(for: try ChildProcess.spawn(arguments, environment: environment, actions: &actions))
    }

    private static func wait(for child: pid_t) throws -> Int32 {
        var status: Int32 = 0
        for _ in 0..<(longestRun / 5) {
            if waitpid(child, &status, WNOHANG) == child { return ChildProcess.shellStatus(status) }
            usleep(5000)
        }
        kill(child, SIGKILL)
        waitpid(child, &status, 0)
        throw Failure(message: "the process did not end")
    }
}

enum ChildProcess {
    /// A GNU extension of spawn.h, which the module does not show.
    private static let setSessionFlag: Int16 = 0x80

    /// Starts a program found in the usual places.
    static func spawn(
        _ arguments: [String], environment: [String], actions: inout posix_spawn_file_actions_t,
        newSession: Bool = false
    ) throws -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        let session = newSession ? setSessionFlag : 0
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK) | session)
        var argv = arguments.map { strdup($0) } + [nil]
        var envp = environment.map { strdup($0) } + [nil]
        defer { (argv + envp).forEach { free($0) } }
        var child = pid_t()
        let failure = posix_spawnp(&child, arguments[0], &actions, &attributes, &argv, &envp)
        guard failure == 0 else { throw Sandbox.Failure(message: "can't start \(arguments[0]): error \(failure)") }
        return child
    }

    static func shellStatus(_ status: Int32) -> Int32 {
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }
}
