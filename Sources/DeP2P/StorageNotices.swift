internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions
internal import DeP2PStorage

/// Something a user should know of what a node remembers between runs.
public struct StorageNotice: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable {
        /// What is new is remembered for this run only.
        case memoryOnly = "memory-only"
        /// It is kept again.
        case kept
        /// What was remembered was damaged, and is put aside.
        case startedAnew = "started-anew"
    }

    public let kind: Kind
    /// What stands against keeping it: `full`, `readOnly`, `noPermission`, `newerVersion`, `otherApplication`, `notAFile`,
    /// `damaged`, `busy` or `system`; `nil` when nothing does.
    public let reason: String?
    /// The file.
    public let path: String?
    /// A sentence for people.
    public let message: String
}

/// Turns the conditions of a store into what there is to say of them.
@NetworkActor
final class StorageNotices {
    private var last = StorageCondition()
    /// The node's own.
    var onNotice: (@NetworkActor (StorageNotice) -> Void)?
    /// At most one of each kind.
    private(set) var earlier: [StorageNotice] = []

    func changed(_ condition: StorageCondition) {
        defer { last = condition }
        if let path = condition.setAside, path != last.setAside {
            tell(
                StorageNotice(
                    kind: .startedAnew, reason: "damaged", path: path,
                    message: "what this node remembered was damaged: it starts anew, and the old file is \(path)"))
        }
        guard condition.problem?.code != last.problem?.code else { return }
        if let problem = condition.problem {
            tell(
                StorageNotice(
                    kind: .memoryOnly, reason: problem.code.rawValue, path: problem.path, message: "\(problem)"))
        } else if let problem = last.problem {
            tell(
                StorageNotice(
                    kind: .kept, reason: nil, path: problem.path,
                    message: "what this node learns is kept in \(problem.path) again"))
        }
    }

    private func tell(_ notice: StorageNotice) {
        earlier.removeAll { $0.kind == notice.kind }
        earlier.append(notice)
        onNotice?(notice)
    }
}
