internal import Glibc
internal import Identity

/// Small files of state that may be lost: read whole, replaced at once.
enum StateFile {
    /// The contents; nothing when there is no such file, or it is longer than `limit`.
    static func read(_ path: String, limit: Int) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        while result.count <= limit {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count == 0 ? result : [] }
            result += buffer[..<count]
        }
        return []
    }

    /// Writes a file of mode 0600 that is there whole or not at all; missing folders are made with mode 0700.
    ///
    /// - Returns: whether it was written. What a crash loses is found out anew, so nothing is synced.
    @discardableResult
    static func replace(_ path: String, with contents: [UInt8]) -> Bool {
        makeParents(of: path)
        let temporary = "\(path).\(Hex.encode(SecureRandom.bytes(6)))"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return false }
        let written = write(descriptor, contents, contents.count)
        close(descriptor)
        guard written == contents.count, rename(temporary, path) == 0 else {
            unlink(temporary)
            return false
        }
        return true
    }

    private static func makeParents(of path: String) {
        var end = path.utf8.startIndex
        while let slash = path.utf8[end...].dropFirst().firstIndex(of: UInt8(ascii: "/")) {
            end = slash
            mkdir(String(path[..<end]), 0o700)
        }
    }
}
