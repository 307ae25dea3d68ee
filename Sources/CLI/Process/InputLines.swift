import DeP2P
import Dispatch
import Glibc

/// Standard input line by line, or all of it: read away from the network thread, and no further ahead than a line needs.
@NetworkActor
final class InputLines {
    private nonisolated static let readSize = 64 * 1024

    private let limit: Int
    private let queue = DispatchQueue(label: "dep2p.input")
    private var buffer: [UInt8] = []
    /// Of the buffer, what was given out, and what holds no line feed.
    private var start = 0
    private var searched = 0
    private var isAtEnd = false

    /// - Parameter limit: the longest line, in bytes.
    init(limit: Int) { self.limit = limit }

    /// The next line without its line feed; what stands behind the last one is a line too. `nil` at the end.
    ///
    /// - Throws: ``CLIError`` `ioError`, `tooLarge`; `CancellationError`.
    func next() async throws -> [UInt8]? {
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { (start, searched) = (end + 1, end + 1) }
                return try checked(Array(buffer[start..<end]))
            }
            searched = buffer.count
            _ = try checked(buffer[start...])
            guard !isAtEnd else {
                defer { start = buffer.count }
                return start < buffer.count ? Array(buffer[start...]) : nil
            }
            try await fill()
        }
    }

    /// All of it.
    ///
    /// - Throws: as ``next()``.
    func all() async throws -> [UInt8] {
        while !isAtEnd {
            _ = try checked(buffer[...])
            try await fill()
        }
        return try checked(buffer)
    }

    private func checked<Bytes: Collection>(_ bytes: Bytes) throws -> Bytes where Bytes.Element == UInt8 {
        guard bytes.count <= limit else {
            throw CLIError(.tooLarge, "a message on standard input has more than \(limit) bytes")
        }
        return bytes
    }

    private func fill() async throws {
        let waiter = Waiter<[UInt8]>()
        queue.async {
            let result = Self.read()
            networkTask { waiter.resume(with: result) }
        }
        // Cancelled, it waits no longer; the read may go on for as long as the process.
        let bytes = try await waiter.value()
        isAtEnd = bytes.isEmpty
        if start > 0 {
            buffer.removeFirst(start)
            (searched, start) = (searched - start, 0)
        }
        buffer += bytes
    }

    private nonisolated static func read() -> Result<[UInt8], any Error> {
        var bytes = [UInt8](repeating: 0, count: readSize)
        while true {
            let count = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(StandardStream.input.rawValue, buffer.baseAddress, buffer.count)
            }
            if count >= 0 { return .success(Array(bytes.prefix(count))) }
            if errno == EAGAIN {
                // Whoever shares the stream made it non-blocking; wait as a blocking read would.
                var wanted = pollfd(fd: StandardStream.input.rawValue, events: Int16(POLLIN), revents: 0)
                _ = poll(&wanted, 1, -1)
            } else if errno != EINTR {
                return .failure(CLIError(.ioError, "can't read standard input: \(SystemError.text(errno))"))
            }
        }
    }
}
