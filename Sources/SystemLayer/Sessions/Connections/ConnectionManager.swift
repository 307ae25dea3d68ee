internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor

/// Which sessions a node keeps when there are too many: pure.
///
/// A **stranger** is a session that another node opened and that is not admitted to the realm, of a node that nothing
/// protects. Outside of a realm that is everyone who comes in. Strangers have a share of the slots (all of them outside
/// of a realm), fewer for each ``Subject``, and a time within which to be admitted or to ask for something that is
/// offered to them. The next stranger takes the place of one before it, so that who will be a member in a round trip
/// gets that round trip: of the subnet with the most, then of the subject with the most, the one that came first.
/// Those that the node does something lasting for (a reservation, a circuit) go last.
///
/// Above ``ConnectionLimits/high`` sessions the least valuable are closed down to ``ConnectionLimits/low``: strangers
/// before nodes that this one dialled, the unused before the used. A new one is refused only above `high` and `slack`;
/// in a realm the strangers' share comes on top of that, so that who comes to prove itself always has a place to do so.
///
/// A member gives way to no stranger, and a protected node to nobody. But whoever has the realm key has any number of
/// identities: when members fill all slots, and one subject or subnet holds more of them than its share, its least used
/// session gives way to a newcomer of one that holds fewer, once that is admitted (``ConnectionManager/Weight``).
///
/// What this node has dialled to ask one thing (an **errand**) ends when it has been idle for a while, unless somebody wants it.
/// Whose errand it is may be anybody: what its peer does with it holds no slot that a stranger's would not, and when nothing
/// has been asked for that time it counts as one.
///
/// Calling order: ``open(_:now:isBusy:)``, the events of a session, ``close(_:)``; ``timerFired(now:isBusy:)`` at
/// ``wake``. Sessions in a returned list are forgotten already: the caller closes them.
struct ConnectionManager {
    /// Nodes that may be protected at once.
    static let protectedLimit = 1_024
    /// How long an errand may be idle: its node may be asked again in the course of one lookup and what follows it.
    static let errandTime = Duration.seconds(15)

    private let limits: ConnectionLimits
    private var entries: [UInt64: Entry] = [:]
    /// Of these, those that came in, or were turned, and are not admitted; and errands. What is looked at with each event is
    /// looked for here: thousands of members cost the next one nothing.
    private var unproven: Set<UInt64> = []
    private var errands: Set<UInt64> = []
    private var protections: [NodeID: Set<Protection>] = [:]
    /// Whether there is a realm that strangers could be admitted to.
    private(set) var isInRealm = false

    init(limits: ConnectionLimits) {
        self.limits = limits
    }

    var count: Int { entries.count }
    var strangerCount: Int { unproven.count { id in entries[id].map(isStranger) ?? false } }
    /// In no order.
    private var strangers: [Entry] { unproven.compactMap { entries[$0] }.filter(isStranger) }
    /// Members, protected nodes and those that this node dialled.
    private var ownCount: Int { entries.count - strangerCount }
    func contains(_ id: UInt64) -> Bool { entries[id] != nil }
    func isStranger(_ id: UInt64) -> Bool { entries[id].map(isStranger) ?? false }
    func isProtected(_ nodeID: NodeID) -> Bool { protections[nodeID] != nil }

    private func isStranger(_ entry: Entry) -> Bool {
        (!entry.isInitiator || entry.isTurned) && !entry.isAdmitted && protections[entry.nodeID] == nil
    }

    private var most: Int { limits.high + limits.slack }
    /// What strangers may have: outside of a realm there is nobody else to keep slots for.
    private var share: Int { isInRealm ? min(limits.strangers, most) : most }

    // MARK: Opening

    /// - Parameter isBusy: whether streams are open on a session; asked only when some have to be closed.
    mutating func open(_ entry: Entry, now: NetworkInstant, isBusy: (UInt64) -> Bool) -> OnOpen {
        switch isStranger(entry) ? roomForStranger(entry, isBusy) : roomForOwn(entry, isBusy) {
        case .refused(let limit): return .refused(limit)
        case .room(let victim):
            let closing = victim.map { [remove($0)] } ?? []
            add(entry)
            return .opened(closing: closing + trim(now: now, isBusy: isBusy))
        }
    }

    private enum Verdict {
        /// There is, once this one is gone.
        case room(Victim?)
        case refused(LimitExceeded)
    }

    private typealias Victim = (entry: Entry, reason: String)

    private var full: LimitExceeded { LimitExceeded(name: "connections", value: ownCount, limit: most) }
    private var reasonOfTheFull: String { "the limit of \(most) connections is reached" }

    private func roomForStranger(_ entry: Entry, _ isBusy: (UInt64) -> Bool) -> Verdict {
        // Who could not stay once it is admitted hears so before.
        if isInRealm, ownCount >= most, givingWay(to: entry, isBusy) == nil { return .refused(full) }
        if let victim = strangerToReplace(by: entry) { return .room(victim) }
        if strangerCount >= share {
            return .refused(LimitExceeded(name: "connections of strangers", value: strangerCount, limit: share))
        }
        return isInRealm || entries.count < most ? .room(nil) : roomOfStranger
    }

    /// For a session that this node dialled, or of a protected node.
    private func roomForOwn(_ entry: Entry, _ isBusy: (UInt64) -> Bool) -> Verdict {
        guard entries.count >= most else { return .room(nil) }
        guard ownCount >= most else { return roomOfStranger }
        guard let victim = givingWay(to: entry, isBusy) else { return .refused(full) }
        return .room(victim)
    }

    private var roomOfStranger: Verdict {
        guard let stranger = leastOfTheStrangers() else { return .refused(full) }
        return .room((entry: stranger, reason: reasonOfTheFull))
    }

    /// Who gives way to a stranger within the strangers' share.
    private func strangerToReplace(by entry: Entry) -> Victim? {
        let mine = strangers.filter { $0.commitments == 0 && $0.subject == entry.subject }
        if mine.count >= limits.strangersPerSubject, let victim = mine.min(by: isOlder) {
            return (victim, "the limit of \(limits.strangersPerSubject) connections of one address is reached")
        }
        guard strangerCount >= share, let victim = leastOfTheStrangers() else { return nil }
        return (victim, "the limit of \(share) connections of strangers is reached")
    }

    /// A stranger that the node does nothing lasting for.
    private func isReplaceable(_ entry: Entry) -> Bool { isStranger(entry) && entry.commitments == 0 }

    /// One that this node dialled, for nothing that lasts.
    private func isDispensable(_ entry: Entry) -> Bool {
        entry.isInitiator && !entry.isTurned && !entry.isAdmitted && protections[entry.nodeID] == nil
            && entry.commitments == 0
    }

    /// Streams of an errand may all be its peer's, who holds no slot by them.
    private func isUnused(_ entry: Entry, _ isBusy: (UInt64) -> Bool) -> Bool {
        isDispensable(entry) && (entry.isErrand || !isBusy(entry.id))
    }

    private func leastOfTheStrangers() -> Entry? {
        let candidates = strangers.filter { $0.commitments == 0 }
        guard !candidates.isEmpty else {
            // In a realm even what is committed gives way: whoever comes may be a member.
            return isInRealm ? strangers.min(by: isOlder) : nil
        }
        let counts = SubjectCounts(candidates.lazy.map(\.subject))
        return candidates.min { left, right in
            let (a, b) = (Weight(left.subject, in: counts), Weight(right.subject, in: counts))
            return a == b ? isOlder(left, right) : a > b
        }
    }

    private func isOlder(_ left: Entry, _ right: Entry) -> Bool { (left.since, left.id) < (right.since, right.id) }

    private func isLessUsed(_ left: Entry, _ right: Entry) -> Bool {
        (left.lastUse, left.id) < (right.lastUse, right.id)
    }

    // MARK: Members among themselves

    /// Part of all slots that a subject, and a subnet, may hold before it gives way to those that hold fewer.
    static let subjectPart = 8
    static let subnetPart = 4

    /// How many of the sessions counted are of one subnet, and of them of one subject: the heavier gives way.
    ///
    /// Whoever gives way is heavier than the newcomer, with it counted. So each time the sum of the squares of what
    /// subnets hold becomes less, or stays and that of the subjects becomes less: it ends when nobody is over its share
    /// beside one that has less, and nodes that dial again when they were closed can't push each other out in turns.
    private struct Weight: Comparable {
        let subnet: Int
        let subject: Int

        init(_ subject: Subject, in counts: SubjectCounts) {
            (subnet, self.subject) = (counts.subnetCount(subject), counts.count(subject))
        }

        static func < (left: Self, right: Self) -> Bool {
            (left.subnet, left.subject) < (right.subnet, right.subject)
        }
    }

    /// A member that nothing else protects, whoever dialled.
    private func isMember(_ entry: Entry) -> Bool { entry.isAdmitted && protections[entry.nodeID] == nil }

    /// Who gives way when all slots are taken and `entry` is to have one: what this node dialled for nothing, then a
    /// member of those that hold more than their share. Its colleagues at one address, and what comes through one relay,
    /// are told apart by nothing: they don't give way to each other.
    private func givingWay(to entry: Entry, _ isBusy: (UInt64) -> Bool) -> Victim? {
        let unused = entries.values.filter { $0.id != entry.id && isUnused($0, isBusy) }
        if let victim = unused.min(by: isLessUsed) { return (victim, reasonOfTheFull) }
        let members = entries.values.filter { $0.id != entry.id && isMember($0) }
        let counts = SubjectCounts(members.map(\.subject) + [entry.subject])
        let newcomer = Weight(entry.subject, in: counts)
        let heaviest = members.map { Weight($0.subject, in: counts) }
            .filter { $0 > newcomer && ($0.subject > most / Self.subjectPart || $0.subnet > most / Self.subnetPart) }
            .max()
        guard let heaviest else { return nil }
        // What is in use goes last, and what the node does something lasting for.
        func worth(_ entry: Entry) -> Int { (entry.commitments > 0 ? 2 : 0) + (isBusy(entry.id) ? 1 : 0) }
        let victim = members.filter { Weight($0.subject, in: counts) == heaviest }.min { left, right in
            let (a, b) = (worth(left), worth(right))
            return a == b ? isLessUsed(left, right) : a < b
        }
        return victim.map { ($0, "\(reasonOfTheFull), and its address holds more than others") }
    }

    // MARK: Watermarks and time

    /// Closes the least valuable down to `low` when there are more than `high`; those that have just come have their
    /// time first.
    private mutating func trim(now: NetworkInstant, isBusy: (UInt64) -> Bool) -> [Closing] {
        guard entries.count > limits.high else { return [] }
        let candidates = entries.values.filter { entry in
            guard now.duration(since: entry.since) >= limits.strangerTime else { return false }
            return isReplaceable(entry) || isUnused(entry, isBusy)
        }
        let ordered = candidates.sorted { left, right in
            let (a, b) = (left.isInitiator, right.isInitiator)
            return a == b ? isLessUsed(left, right) : !a
        }
        let reason = "more than \(limits.high) connections: the least used are closed"
        return ordered.prefix(entries.count - limits.low).map { remove(($0, reason)) }
    }

    private func deadline(_ entry: Entry) -> NetworkInstant? {
        if isErrand(entry) { return entry.lastUse.advanced(by: Self.errandTime) }
        guard isStranger(entry), !entry.hasUsed, entry.commitments == 0 else { return nil }
        return entry.since.advanced(by: limits.strangerTime)
    }

    /// When ``timerFired(now:isBusy:)`` is due.
    var wake: NetworkInstant? { timed.compactMap(deadline).min() }

    /// Those that may have a deadline, in no order.
    private var timed: [Entry] { unproven.union(errands).compactMap { entries[$0] } }

    mutating func timerFired(now: NetworkInstant, isBusy: (UInt64) -> Bool) -> [Closing] {
        let late = timed.filter { entry in deadline(entry).map { $0 <= now } ?? false }
        let reason = "neither admitted to the realm nor in use within \(limits.strangerTime)"
        let ended = endErrands(late, now: now, isBusy: isBusy)
        let strangers = late.filter { !$0.isErrand }.sorted(by: isOlder).map { remove(($0, reason)) }
        return ended + strangers + trimStrangers() + trim(now: now, isBusy: isBusy)
    }

    private func isErrand(_ entry: Entry) -> Bool {
        entry.isErrand && entry.commitments == 0 && (isDispensable(entry) || isStranger(entry))
    }

    /// Beyond the strangers' share some go.
    private mutating func trimStrangers() -> [Closing] {
        var closing: [Closing] = []
        while strangerCount > share, let victim = leastOfTheStrangers() {
            closing.append(remove((victim, "the limit of \(share) connections of strangers is reached")))
        }
        return closing
    }

    /// Those that are done; one that is busy has its time anew, as a stranger: what was asked has been answered long ago.
    private mutating func endErrands(_ late: [Entry], now: NetworkInstant, isBusy: (UInt64) -> Bool) -> [Closing] {
        late.filter(isErrand).sorted(by: isOlder).compactMap { entry in
            guard !isBusy(entry.id) else {
                entries[entry.id]?.lastUse = now
                entries[entry.id]?.isTurned = true
                unproven.insert(entry.id)
                return nil
            }
            drop(entry.id)
            return Closing(id: entry.id, reason: "nothing more to ask", code: .normal)
        }
    }

    private mutating func remove(_ victim: Victim) -> Closing {
        drop(victim.entry.id)
        return Closing(id: victim.entry.id, reason: victim.reason)
    }

    private mutating func add(_ entry: Entry) {
        entries[entry.id] = entry
        if !entry.isInitiator, !entry.isAdmitted { unproven.insert(entry.id) }
        if entry.isErrand { errands.insert(entry.id) }
    }

    private mutating func drop(_ id: UInt64) {
        entries[id] = nil
        unproven.remove(id)
        errands.remove(id)
    }

    // MARK: Events

    mutating func close(_ id: UInt64) { drop(id) }

    /// The peer has proven to be a member.
    ///
    /// - Returns: who makes room for it; itself when there is none, since others were admitted while it proved itself.
    mutating func admitted(_ id: UInt64, now: NetworkInstant, isBusy: (UInt64) -> Bool) -> [Closing] {
        guard var entry = entries[id] else { return [] }
        let wasStranger = isStranger(entry)
        (entry.isAdmitted, entry.lastUse) = (true, now)
        entries[id] = entry
        unproven.remove(id)
        guard wasStranger, ownCount > most else { return [] }
        return [remove(givingWay(to: entry, isBusy) ?? (entry: entry, reason: reasonOfTheFull))]
    }

    /// The peer asked for something that it is offered.
    mutating func used(_ id: UInt64, now: NetworkInstant) {
        // With each stream: looked up once.
        guard let index = entries.index(forKey: id) else { return }
        entries.values[index].hasUsed = true
        // An errand lasts by what this node asks.
        if !entries.values[index].isErrand { entries.values[index].lastUse = now }
    }

    /// This node asks something on the session, of which an errand is made up.
    mutating func asked(_ id: UInt64, now: NetworkInstant) {
        if entries[id]?.isErrand == true { entries[id]?.lastUse = now }
    }

    /// Somebody wants the session's node.
    mutating func wanted(_ id: UInt64) {
        entries[id]?.isErrand = false
        if entries[id]?.isTurned == true { unproven.remove(id) }
        entries[id]?.isTurned = false
        errands.remove(id)
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
        return trimStrangers()
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
package enum Protection: Hashable, Sendable {
    /// A relay that this node is reached through.
    case relay
    /// A node by which others are found.
    case bootstrap
    /// The application's own.
    case tag(String)
}
