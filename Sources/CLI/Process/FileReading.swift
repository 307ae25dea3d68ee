import DeP2P
import Glibc

/// Small files that a command reads whole: keys, passphrases, configuration.
enum FileReading {
    /// Reads a file, or standard input for `-`, up to `limit` bytes. The caller wipes a secret.
    ///
    /// - Parameters:
    ///   - patience: how long to wait for a pipe or terminal that stands for the file; nil is for ever.
    ///   - again: it was read before, so it has to be a file proper: anything else has given what it had.
    /// - Throws: `inputMissing` when it cannot be opened, `badKey` style errors are the caller's; `ioError` when reading
    ///   fails or the file is longer than `limit`.
    static func read(
        _ path: [UInt8], limit: Int, what: String, patience: Duration? = nil, again: Bool = false
    ) throws(CLIError) -> [UInt8] {
        let name = "\(what) '\(TerminalText.escape(path))'"
        if path == [UInt8(ascii: "-")] {
            guard !again else { throw CLIError(.inputMissing, "\(what) on standard input can't be read again") }
            return try contents(
                StandardStream.input.rawValue, limit: limit, name: "\(what) on standard input", patience: patience)
        }
        // A pipe that nobody writes to would hold up the opening itself.
        let descriptor = open(terminated(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw CLIError(.inputMissing, "can't open \(name): \(SystemError.text(errno))")
        }
        defer { close(descriptor) }
        guard !again || isRegular(descriptor) else {
            throw CLIError(.inputMissing, "\(name) is no regular file, and can't be read again")
        }
        return try contents(descriptor, limit: limit, name: name, patience: patience)
    }

    private static func contents(
        _ descriptor: Int32, limit: Int, name: String, patience: Duration?
    ) throws(CLIError) -> [UInt8] {
        // In one place, which is wiped: an array that grows leaves copies of a secret behind.
        var buffer = [UInt8](repeating: 0, count: limit + 1)
        defer { wipe(&buffer) }
        var filled = 0
        let deadline = patience.map { ContinuousClock.now + $0 }
        let mayWait = !isRegular(descriptor)
        while filled < buffer.count {
            if mayWait { try wait(for: descriptor, until: deadline, name: name) }
            let count = buffer.withUnsafeMutableBytes { bytes in
                Glibc.read(descriptor, bytes.baseAddress?.advanced(by: filled), bytes.count - filled)
            }
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                throw CLIError(
                    errno == EISDIR ? .inputMissing : .ioError, "can't read \(name): \(SystemError.text(errno))")
            }
            filled += count
        }
        guard filled <= limit else { throw CLIError(.ioError, "\(name) has more than \(limit) bytes") }
        return Array(buffer[..<filled])
    }

    /// Waits until there is something to read, or nothing more will come.
    private static func wait(
        for descriptor: Int32, until deadline: ContinuousClock.Instant?, name: String
    ) throws(CLIError) {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while true {
            let left = deadline.map { max(.zero, $0 - .now) }
            let milliseconds = left.map { Int32($0 / .milliseconds(1)) } ?? -1
            let count = poll(&wanted, 1, milliseconds)
            guard count <= 0 else { return }
            guard count == 0 || errno == EINTR else { return }
            if let left, count == 0 || left == .zero {
                throw CLIError(.ioError, "nobody has written all of \(name) in time")
            }
        }
    }

    private static func isRegular(_ descriptor: Int32) -> Bool {
        var information = stat()
        return fstat(descriptor, &information) == 0 && information.st_mode & S_IFMT == S_IFREG
    }

    /// The bytes as the system takes a path: ended by a zero byte. A zero byte inside can't come from an argument.
    static func terminated(_ path: [UInt8]) -> [CChar] { path.map(CChar.init(bitPattern:)) + [0] }

    static func exists(_ path: [UInt8]) -> Bool { access(terminated(path), F_OK) == 0 }
}

/// The system's words for an `errno`.
enum SystemError {
    static func text(_ number: Int32) -> String { strerror(number).map { String(cString: $0) } ?? "error \(number)" }
}
