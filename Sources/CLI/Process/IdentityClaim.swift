import DeP2P
import Glibc

/// A long-running command's claim on its identity: of the processes that would answer under one NodeID, one does. Commands
/// that only go out make none, and run beside it.
///
/// The claim is a lock (flock(2)) on a file of the NodeID's name in the state folder, and ends with its process, however
/// that ends. The file says whose it is, for those who come second; without the lock what it says means nothing.
final class IdentityClaim: Sendable {
    /// A process that was just told to end may hold the claim a moment longer.
    private static let attempts = 10
    private static let pause: useconds_t = 50_000
    /// The longest text in the file that is read.
    private static let noteLimit = 128

    private let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Claims `nodeID` for this process.
    ///
    /// - Parameters:
    ///   - folder: the state folder, made when it is missing.
    ///   - command: what runs, for others to read.
    /// - Returns: nil where no claim can be made: the folder can't be written, or its file system has no locks.
    /// - Throws: `identityInUse` when another process has it.
    static func take(_ nodeID: NodeID, in folder: [UInt8]?, command: String) throws(CLIError) -> IdentityClaim? {
        guard let folder else { return nil }
        makeFolders(folder)
        let path = StandardPaths.join(folder, "\(nodeID).lock")
        let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        let descriptor = open(FileReading.terminated(path), flags, 0o600)
        guard descriptor >= 0 else { return nil }
        let claim = IdentityClaim(descriptor)
        for attempt in 1... {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { break }
            guard errno == EWOULDBLOCK || errno == EINTR else { return nil }
            guard attempt < attempts else { throw claim.refusal(nodeID) }
            // Another process holds the lock, and nobody tells when it lets go.
            usleep(pause)
        }
        claim.note(command)
        return claim
    }

    private func note(_ command: String) {
        let text = Array("\(getpid()) \(command)\n".utf8)
        // Who comes second is told less when this fails.
        guard ftruncate(descriptor, 0) == 0 else { return }
        _ = pwrite(descriptor, text, text.count, 0)
    }

    private func refusal(_ nodeID: NodeID) -> CLIError {
        let holder = holder
        let who = holder.map { "\(Release.program) \($0.command), process \($0.process)," } ?? "another process"
        return CLIError(
            .identityInUse, "the identity \(nodeID) is in use: \(who) answers under it",
            hint: "end that one, or give this one an identity of its own with --ephemeral or --identity FILE",
            fields: [
                holder.map { .int("pid", $0.process) } ?? JSONField("pid", .null),
                .string("holder", holder?.command),
            ])
    }

    /// Whose the claim is, as its file says.
    private var holder: (process: Int32, command: String)? {
        var buffer = [UInt8](repeating: 0, count: Self.noteLimit)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        let words = buffer[..<count].prefix { $0 != UInt8(ascii: "\n") }.split(
            separator: UInt8(ascii: " "), maxSplits: 1)
        guard words.count == 2, let process = Int32(String(decoding: words[0], as: UTF8.self)) else { return nil }
        return (process, TerminalText.escape(words[1]))
    }

    /// What can't be made shows when the file is opened.
    private static func makeFolders(_ path: [UInt8]) {
        for end in path.indices.dropFirst() where path[end] == UInt8(ascii: "/") {
            mkdir(FileReading.terminated(Array(path[..<end])), 0o700)
        }
        mkdir(FileReading.terminated(path), 0o700)
    }
}
