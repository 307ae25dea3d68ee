internal import Glibc

/// Files in which the kernel tells of its networks.
package enum KernelTable {
    /// The contents; nothing when there is no such file, or it is longer than `limit`.
    package static func read(_ path: String, limit: Int) -> [UInt8] {
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
}
