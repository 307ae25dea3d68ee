internal import Glibc

/// A lock by which processes agree on who may exchange a file. It ends with its process.
final class FileLock {
    private let path: String
    private let descriptor: Int32

    init(_ path: String) throws(StorageProblem) {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        guard descriptor >= 0 else { throw Self.problem(path) }
    }

    deinit { close(descriptor) }

    /// Takes it, and lets go of what it held before, if no other process stands against it.
    func take(alone: Bool) throws(StorageProblem) -> Bool {
        while flock(descriptor, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 {
            guard errno != EWOULDBLOCK else { return false }
            guard errno == EINTR else { throw Self.problem(path) }
        }
        return true
    }

    private static func problem(_ path: String) -> StorageProblem {
        StorageProblem(code: StorageProblem.code(errno: errno), path: path, detail: String(cString: strerror(errno)))
    }
}
