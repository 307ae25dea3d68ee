internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import Glibc

/// The open files that the transfers of this process may have at once: waited for, never failed on.
///
/// Half of the process's limit is for sockets and everything else. Of the files, a quarter is for what is sent: a
/// process that sends to another while it receives from it must not wait for the other's descriptors with its own.
@NetworkActor
final class DescriptorBudget {
    enum Use { case sending, receiving }

    static let shared = DescriptorBudget(limit: DescriptorLimit.current)

    /// Descriptors that transfers have at most. Libraries of this process use select(2), which takes none of 1024 or
    /// more: files must not push their sockets there.
    nonisolated static let most = 512
    /// Descriptors of a transfer that is sent: the folder named, the file's folder, the file, and one while a folder is
    /// looked up.
    nonisolated static let perSending = 4

    private var queues: [Use: DescriptorQueue]
    private var waiters: [DescriptorQueue.ID: Waiter<Int>] = [:]
    private var nextID: DescriptorQueue.ID = 0

    /// - Parameter limit: descriptors that the process may have.
    init(limit: Int) {
        let files = max(min(limit / 2, Self.most), 4 * Self.perSending)
        let sending = files / 4
        queues = [
            .sending: DescriptorQueue(capacity: sending), .receiving: DescriptorQueue(capacity: files - sending),
        ]
    }

    /// Waits for descriptors, lets `body` use them, and takes them back.
    ///
    /// - Parameter owner: whose they count as, where one of many must not have them all.
    func withDescriptors<Result: Sendable>(
        for use: Use, atLeast least: Int, upTo most: Int, of owner: NodeID? = nil,
        _ body: (Int) async throws -> Result
    ) async throws -> Result {
        let count = try await take(use, least, most, owner)
        defer { answer(use, queues[use]?.release(count, of: owner)) }
        return try await body(count)
    }

    private func take(_ use: Use, _ least: Int, _ most: Int, _ owner: NodeID?) async throws -> Int {
        nextID += 1
        let id = nextID
        if let count = queues[use]?.request(id, atLeast: least, upTo: most, of: owner) { return count }
        let waiter = Waiter<Int>()
        waiters[id] = waiter
        do {
            return try await waiter.value()
        } catch {
            waiters[id] = nil
            answer(use, queues[use]?.withdraw(id))
            throw error
        }
    }

    private func answer(_ use: Use, _ grants: [DescriptorQueue.Grant]?) {
        for grant in grants ?? [] {
            // Whoever was cancelled in the meantime has not taken its request back yet.
            if let waiter = waiters.removeValue(forKey: grant.id), !waiter.isResolved {
                waiter.resume(returning: grant.count)
            } else {
                answer(use, queues[use]?.release(grant.count, of: grant.owner))
            }
        }
    }
}

/// How a transfer that arrives divides what it was given.
struct ReceivingDescriptors {
    static let least = 16
    static let most = 272

    /// The folder, the journal, the file that is written and its folder, and two while folders are looked up; and one
    /// file more.
    private static let fixed = 8
    /// A file and its folder.
    private static let perFile = 2

    /// Partial files that are held open until their turn comes.
    let partials: Int
    /// Files that are written and wait for fsync and rename.
    let files: Int
    /// Small files that are stored side by side.
    let smallFiles: Int

    init(_ count: Int) {
        let pairs = max(count - Self.fixed, 3 * Self.perFile) / Self.perFile
        partials = min(max(pairs / 4, 1), TransferLimits.partials)
        smallFiles = min(max(pairs / 8, 1), TransferLimits.commitWorkers)
        files = min(pairs - partials - smallFiles, TransferLimits.commitBacklog)
    }
}

/// How many descriptors the process may have.
package enum DescriptorLimit {
    package static var current: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }

    /// Raises the soft limit, which protects old programs from descriptors of 1024 and more, to the hard one. For a
    /// program to call before it starts; a library has no business with it.
    package static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
