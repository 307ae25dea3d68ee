import DeP2P
import Glibc

/// Small files that a command reads whole: keys, passphrases, configuration.
enum FileReading {
    /// Reads a file, or standard input for `-`, up to `limit` bytes. The caller wipes a secret.
    ///
    /// - Throws: `inputMissing` when it cannot be opened, `badKey` style errors are the caller's; `ioError` when reading
    ///   fails or the file is longer than `limit`.
    static func read(_ path: [UInt8], limit: Int, what: String) throws(CLIError) -> [UInt8] {
        let name = "\(what) '\(TerminalText.escape(path))'"
        if path == [UInt8(ascii: "-")] {
            return try contents(StandardStream.input.rawValue, limit: limit, name: "\(what) on standard input")
        }
        let descriptor = open(terminated(path), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CLIError(.inputMissing, "can't open \(name): \(SystemError.text(errno))")
        }
        defer { close(descriptor) }
        return try contents(descriptor, limit: limit, name: name)
    }

    private static func contents(_ descriptor: Int32, limit: Int, name: String) throws(CLIError) -> [UInt8] {
        // In one place, which is wiped: an array that grows leaves copies of a secret behind.
        var buffer = [UInt8](repeating: 0, count: limit + 1)
        defer { wipe(&buffer) }
        var filled = 0
        while filled < buffer.count {
            let count = buffer.withUnsafeMutableBytes { bytes in
                Glibc.read(descriptor, bytes.baseAddress?.advanced(by: filled), bytes.count - filled)
            }
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw CLIError(
                    errno == EISDIR ? .inputMissing : .ioError, "can't read \(name): \(SystemError.text(errno))")
            }
            filled += count
        }
        guard filled <= limit else { throw CLIError(.ioError, "\(name) has more than \(limit) bytes") }
        return Array(buffer[..<filled])
    }

    /// The bytes as the system takes a path: ended by a zero byte. A zero byte inside can't come from an argument.
    static func terminated(_ path: [UInt8]) -> [CChar] { path.map(CChar.init(bitPattern:)) + [0] }

    static func exists(_ path: [UInt8]) -> Bool { access(terminated(path), F_OK) == 0 }
}

/// The system's words for an `errno`.
enum SystemError {
    static func text(_ number: Int32) -> String { strerror(number).map { String(cString: $0) } ?? "error \(number)" }
}
