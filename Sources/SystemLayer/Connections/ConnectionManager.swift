internal import Identity
internal import QUIC

/// Which sessions a node keeps when there are too many: pure.
///
/// A **stranger** is a session that another node opened and that is not admitted to the realm, of a node that nothing
/// protects. Outside of a realm that is everyone who comes in. Strangers have a share of the slots (all of them outside
/// of a realm), fewer for each ``Subject``, and a time within which to be admitted or to ask for something that is
/// offered to them. The next stranger takes the place of one before it, so that who will be a member in a round trip
/// gets that round trip: of the subject with the most, then of the subnet with the most, the one that came first.
/// Those that the node does something lasting for (a reservation, a circuit) go last.
///
/// Above ``ConnectionLimits/high`` sessions the least valuable are closed down to ``ConnectionLimits/low``: strangers
/// before nodes that this one dialled, the unused before the used. A new one is refused only above `high` and `slack`,
/// and a member or a protected node never gives way to anyone.
///
/// Calling order: ``open(_:now:isBusy:)``, the events of a session, ``close(_:)``; ``timerFired(now:isBusy:)`` at
/// ``wake``. Sessions in a returned list are forgotten already: the caller closes them.
struct ConnectionManager {
    struct Entry: Equatable {
        let id: UInt64
        let nodeID: NodeID
        var subject: Subject
        /// Whether this node dialled.
        let isInitiator: Bool
        /// Since when it counts as what it is.
        var since: NetworkInstant
        var lastUse: NetworkInstant
        var isAdmitted = false
        /// Whether it has asked for something that is offered to strangers.
        var hasUsed = false
        /// What the node does for it that lasts: reservations, circuits.
        var commitments = 0

        init(id: UInt64, nodeID: NodeID, subject: Subject, isInitiator: Bool, now: NetworkInstant) {
            (self.id, self.nodeID, self.subject, self.isInitiator) = (id, nodeID, subject, isInitiator)
            (since, lastUse) = (now, now)
        }
    }

    /// A session that is to be closed, and why.
    struct Closing: Equatable {
        let id: UInt64
        let reason: String
    }

    enum OnOpen: Equatable {
        /// Taken; these make room.
        case opened(closing: [Closing])
        case refused(LimitExceeded)
    }

    /// Nodes that may be protected at once.
    static let protectedLimit = 1_024

    private let limits: ConnectionLimits
    private var entries: [UInt64: Entry] = [:]
    private var protections: [NodeID: Set<Protection>] = [:]
    /// Whether there is a realm that strangers could be admitted to.
    private(set) var isInRealm = false

    init(limits: ConnectionLimits) {
        self.limits = limits
    }

    var count: Int { entries.count }
    var strangerCount: Int { entries.values.count(where: isStranger) }
    func contains(_ id: UInt64) -> Bool { entries[id] != nil }
    func isStranger(_ id: UInt64) -> Bool { entries[id].map(isStranger) ?? false }
    func isProtected(_ nodeID: NodeID) -> Bool { protections[nodeID] != nil }

    private func isStranger(_ entry: Entry) -> Bool {
        !entry.isInitiator && !entry.isAdmitted && protections[entry.nodeID] == nil
    }

    private var most: Int { limits.high + limits.slack }
    /// What strangers may have: outside of a realm there is nobody else to keep slots for.
    private var share: Int { isInRealm ? min(limits.strangers, most) : most }

    // MARK: Opening

    /// - Parameter isBusy: whether streams are open on a session; asked only when some have to be closed.
    mutating func open(_ entry: Entry, now: NetworkInstant, isBusy: (UInt64) -> Bool) -> OnOpen {
        var closing: [Closing] = []
        if isStranger(entry) {
            if let victim = strangerToReplace(by: entry) { closing.append(remove(victim)) }
            if strangerCount >= share {
                return .refused(LimitExceeded(name: "connections of strangers", value: strangerCount, limit: share))
            }
        }
        if entries.count >= most {
            guard let victim = entryToReplace(by: entry, isBusy: isBusy) else {
                return .refused(LimitExceeded(name: "connections", value: entries.count, limit: most))
            }
            closing.append(remove(victim))
        }
        entries[entry.id] = entry
        return .opened(closing: closing + trim(now: now, isBusy: isBusy))
    }

    /// Who gives way to a stranger within the strangers' share.
    private func strangerToReplace(by entry: Entry) -> (Entry, String)? {
        let mine = entries.values.filter { isReplaceable($0) && $0.subject == entry.subject }
        if mine.count >= limits.strangersPerSubject, let victim = mine.min(by: isOlder) {
            return (victim, "the limit of \(limits.strangersPerSubject) connections of one address is reached")
        }
        guard strangerCount >= share, let victim = leastOfTheStrangers() else { return nil }
        return (victim, "the limit of \(share) connections of strangers is reached")
    }

    /// Who gives way when all slots are taken: never a member or a protected node, and to a stranger only a stranger.
    private func entryToReplace(by entry: Entry, isBusy: (UInt64) -> Bool) -> (Entry, String)? {
        let reason = "the limit of \(most) connections is reached"
        if let stranger = leastOfTheStrangers() { return (stranger, reason) }
        guard !isStranger(entry) else { return nil }
        let own = entries.values.filter { isDispensable($0) && !isBusy($0.id) }
        return own.min(by: isLessUsed).map { ($0, reason) }
    }

    /// A stranger that the node does nothing lasting for.
    private func isReplaceable(_ entry: Entry) -> Bool { isStranger(entry) && entry.commitments == 0 }

    /// One that this node dialled, for nothing that lasts.
    private func isDispensable(_ entry: Entry) -> Bool {
        entry.isInitiator && !entry.isAdmitted && protections[entry.nodeID] == nil && entry.commitments == 0
    }

    private func leastOfTheStrangers() -> Entry? {
        let candidates = entries.values.filter(isReplaceable)
        guard !candidates.isEmpty else {
            // In a realm even what is committed gives way: whoever comes may be a member.
            return isInRealm ? entries.values.filter(isStranger).min(by: isOlder) : nil
        }
        var subjects: [Subject: Int] = [:]
        var subnets: [Subject: Int] = [:]
        for entry in candidates {
            subjects[entry.subject, default: 0] += 1
            subnets[entry.subject.subnet, default: 0] += 1
        }
        let shares = { (entry: Entry) in
            (subjects[entry.subject, default: 0], subnets[entry.subject.subnet, default: 0])
        }
        return candidates.min { left, right in
            let (a, b) = (shares(left), shares(right))
            return a == b ? isOlder(left, right) : a > b
        }
    }

    private func isOlder(_ left: Entry, _ right: Entry) -> Bool { (left.since, left.id) < (right.since, right.id) }

    private func isLessUsed(_ left: Entry, _ right: Entry) -> Bool {
        (left.lastUse, left.id) < (right.lastUse, right.id)
    }

    // MARK: Watermarks and time

    /// Closes the least valuable down to `low` when there are more than `high`; those that have just come have their
    /// time first.
    private mutating func trim(now: NetworkInstant, isBusy: (UInt64) -> Bool) -> [Closing] {
        guard entries.count > limits.high else { return [] }
        let candidates = entries.values.filter { entry in
            guard now.duration(since: entry.since) >= limits.strangerTime else { return false }
            return isReplaceable(entry) || (isDispensable(entry) && !isBusy(entry.id))
        }
        let ordered = candidates.sorted { left, right in
            let (a, b) = (left.isInitiator, right.isInitiator)
            return a == b ? isLessUsed(left, right) : !a
        }
        let reason = "more than \(limits.high) connections: the least used are closed"
        return ordered.prefix(entries.count - limits.low).map { remove(($0, reason)) }
    }

    private func deadline(_ entry: Entry) -> NetworkInstant? {
        guard isStranger(entry), !entry.hasUsed, entry.commitments == 0 else { return nil }
        return entry.since.advanced(by: limits.strangerTime)
    }

    /// When ``timerFired(now:isBusy:)`` is due.
    var wake: NetworkInstant? { entries.values.lazy.compactMap(deadline).min() }

    mutating func timerFired(now: NetworkInstant, isBusy: (UInt64) -> Bool) -> [Closing] {
        let late = entries.values.filter { entry in deadline(entry).map { $0 <= now } ?? false }
        let reason = "neither admitted to the realm nor in use within \(limits.strangerTime)"
        return late.sorted(by: isOlder).map { remove(($0, reason)) } + trim(now: now, isBusy: isBusy)
    }

    private mutating func remove(_ victim: (entry: Entry, reason: String)) -> Closing {
        entries[victim.entry.id] = nil
        return Closing(id: victim.entry.id, reason: victim.reason)
    }

    // MARK: Events

    mutating func close(_ id: UInt64) { entries[id] = nil }

    mutating func admitted(_ id: UInt64, now: NetworkInstant) {
        entries[id]?.isAdmitted = true
        entries[id]?.lastUse = now
    }

    /// The peer asked for something that it is offered.
    mutating func used(_ id: UInt64, now: NetworkInstant) {
        entries[id]?.hasUsed = true
        entries[id]?.lastUse = now
    }

    /// The node does something for the session that lasts, or is done with it.
    mutating func committed(_ id: UInt64, _ change: Int) {
        guard let entry = entries[id] else { return }
        entries[id]?.commitments = max(0, entry.commitments + change)
    }

    /// The session counts for another subject: its path has changed.
    mutating func moved(_ id: UInt64, to subject: Subject) { entries[id]?.subject = subject }

    /// The node has entered or left its realm: who is here has its time anew, and beyond the share strangers go.
    mutating func setInRealm(_ isInRealm: Bool, now: NetworkInstant) -> [Closing] {
        guard isInRealm != self.isInRealm else { return [] }
        self.isInRealm = isInRealm
        for id in entries.keys { entries[id]?.since = now }
        var closing: [Closing] = []
        while strangerCount > share, let victim = leastOfTheStrangers() {
            closing.append(remove((victim, "the limit of \(share) connections of strangers is reached")))
        }
        return closing
    }

    /// - Returns: false at ``protectedLimit``.
    mutating func protect(_ nodeID: NodeID, for reason: Protection) -> Bool {
        guard protections[nodeID] != nil || protections.count < Self.protectedLimit else { return false }
        protections[nodeID, default: []].insert(reason)
        return true
    }

    mutating func unprotect(_ nodeID: NodeID, for reason: Protection) {
        protections[nodeID]?.remove(reason)
        if protections[nodeID]?.isEmpty == true { protections[nodeID] = nil }
    }
}

/// Why a node's sessions are kept when others are closed. An admitted session needs no reason besides.
public enum Protection: Hashable, Sendable {
    /// A relay that this node is reached through.
    case relay
    /// A node by which others are found.
    case bootstrap
    /// The application's own.
    case tag(String)
}
