import Glibc

/// A program on a terminal of its own, typed at and read as a person would.
final class TerminalSession {
    private let terminal: Int32
    private let child: pid_t
    private(set) var transcript: [UInt8] = []
    /// How long the program may say nothing before it counts as hanging, in milliseconds.
    private static let patience: Int32 = 20_000
    /// TIOCSPTLCK and TIOCGPTN of ioctl_tty(2), which the C library's module does not show.
    private static let setLock: UInt = 0x4004_5431
    private static let getNumber: UInt = 0x8004_5430

    init(_ arguments: [String], environment: [String], columns: UInt16 = 80) throws {
        terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var (locked, number): (Int32, Int32) = (0, 0)
        guard terminal >= 0, ioctl(terminal, Self.setLock, &locked) == 0, ioctl(terminal, Self.getNumber, &number) == 0
        else { throw Sandbox.Failure(message: "no terminal: \(errno)") }
        let name = "/dev/pts/\(number)"
        // A struct winsize: rows, columns and pixels (TIOCSWINSZ(2const)). Not every C library's module shows the type.
        var size: (UInt16, UInt16, UInt16, UInt16) = (24, columns, 0, 0)
        _ = ioctl(terminal, UInt(TIOCSWINSZ), &size)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // The first terminal that a new session opens becomes its controlling one.
        for descriptor: Int32 in 0...2 { posix_spawn_file_actions_addopen(&actions, descriptor, name, O_RDWR, 0) }
        child = try ChildProcess.spawn(arguments, environment: environment, actions: &actions, newSession: true)
    }

    deinit {
        close(terminal)
        var status: Int32 = 0
        if waitpid(child, &status, WNOHANG) == 0 {
            kill(child, SIGKILL)
            waitpid(child, &status, 0)
        }
    }

    func type(_ text: String) {
        let bytes = Array(text.utf8)
        _ = write(terminal, bytes, bytes.count)
    }

    /// Reads until the text has come, and gives everything since the last call.
    func read(until text: String) throws -> String {
        let wanted = Array(text.utf8)
        while true {
            if let end = Self.end(of: wanted, in: transcript) {
                defer { transcript.removeFirst(end) }
                return String(decoding: transcript[..<end], as: UTF8.self)
            }
            guard readMore() else {
                throw Sandbox.Failure(
                    message: "waited for \(text), saw \(String(decoding: transcript, as: UTF8.self))")
            }
        }
    }

    /// Reads until the program has ended.
    func readToEnd() -> String {
        while readMore() {}
        return String(decoding: transcript, as: UTF8.self)
    }

    private func readMore() -> Bool {
        var wanted = pollfd(fd: terminal, events: Int16(POLLIN), revents: 0)
        guard poll(&wanted, 1, Self.patience) > 0 else { return false }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(terminal, &buffer, buffer.count)
        guard count > 0 else { return false }
        transcript += buffer[..<count]
        return true
    }

    private static func end(of wanted: [UInt8], in bytes: [UInt8]) -> Int? {
        guard bytes.count >= wanted.count else { return nil }
        return (0...(bytes.count - wanted.count)).first { bytes[$0..<($0 + wanted.count)].elementsEqual(wanted) }
            .map { $0 + wanted.count }
    }
}
