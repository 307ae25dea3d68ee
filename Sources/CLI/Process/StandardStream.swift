import Glibc

/// One of the process's three streams, used without buffering: every write is whole or fails.
enum StandardStream: Int32, Sendable, CaseIterable {
    case input = 0
    case output = 1
    case error = 2

    /// Gives every stream that the parent closed to /dev/null, so that no file or socket opened later takes its number
    /// and receives what was meant for it.
    static func openClosedOnes() {
        for stream in allCases where fcntl(stream.rawValue, F_GETFD) == -1 && errno == EBADF {
            // The lowest free number is this one: the lower ones are open by now.
            let descriptor = open("/dev/null", stream == .input ? O_RDONLY : O_WRONLY)
            if descriptor > 2 { close(descriptor) }
        }
    }

    var isTerminal: Bool { isatty(rawValue) == 1 }

    /// The columns of the terminal; nil when it is none or does not know.
    var columns: Int? {
        // A struct winsize: rows, columns and pixels (TIOCGWINSZ(2const)). Which module shows that type depends on the C
        // library's version.
        var size: [UInt16] = [0, 0, 0, 0]
        guard ioctl(rawValue, UInt(TIOCGWINSZ), &size) == 0, size[1] > 0 else { return nil }
        return Int(size[1])
    }

    /// Writes everything.
    ///
    /// - Returns: nil, or the `errno` of the write that failed.
    func write(_ bytes: [UInt8]) -> Int32? {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(rawValue, buffer.baseAddress.map { $0 + written }, buffer.count - written)
            }
            if count > 0 {
                written += count
            } else if count < 0, errno == EAGAIN {
                // Whoever shares the stream made it non-blocking; wait as a blocking write would.
                var wanted = pollfd(fd: rawValue, events: Int16(POLLOUT), revents: 0)
                _ = poll(&wanted, 1, -1)
            } else if count == 0 || errno != EINTR {
                return count == 0 ? EIO : errno
            }
        }
        return nil
    }
}
