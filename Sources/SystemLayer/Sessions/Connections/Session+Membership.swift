internal import DeP2PReactor

/// Whether the peer is a member of the realm.
extension Session {
    /// Marks the session as proving its membership; streams for members wait meanwhile.
    package func beginAdmission() {
        admissionsUnderWay += 1
        if membership == .outsider { membership = .pending }
    }

    /// Ends an admission that is under way; an admitted session stays so, and one that proves itself once more (the
    /// first time was given up) goes on waiting for that.
    package func endAdmission(admitted: Bool) {
        admissionsUnderWay = max(0, admissionsUnderWay - 1)
        if membership != .admitted {
            let failed: Membership = admissionsUnderWay > 0 && end == nil ? .pending : .outsider
            membership = admitted && end == nil ? .admitted : failed
            if isAdmitted {
                promote()
                onOccurrence?(self, .admitted)
            }
        }
        if membership != .pending { resumeMembershipWaiters() }
    }

    /// A proof of the peer has been looked at, and answered.
    package func proofJudged() {
        isProofJudged = true
        if membership != .pending { resumeMembershipWaiters() }
    }

    /// Whether the peer may use members' streams, once an admission under way is over.
    ///
    /// - Parameter patience: how long that is waited for; `nil` takes the limit's.
    package func waitForMembership(atMost patience: Duration? = nil) async -> Bool {
        guard membership == .pending else { return isAdmitted }
        return await waitForOutcome(atMost: min(patience ?? limits.admissionWait, limits.admissionWait))
    }

    /// As ``waitForMembership(atMost:)``, for a stream that only members open: who has heard in the handshake that this node
    /// is a member sends it right behind its own proof, and one may overtake the other. In a realm or not, lest strangers
    /// see which.
    func waitForProof() async -> Bool {
        let untilLate = openedAt.advanced(by: limits.admissionWait).duration(since: clock.now)
        guard membership == .outsider, connection.hasGreeted, !isProofJudged, isOpen, untilLate > .zero else {
            return await waitForMembership()
        }
        return await waitForOutcome(atMost: untilLate)
    }

    private func waitForOutcome(atMost patience: Duration) async -> Bool {
        let waiter = Waiter<Void>()
        let token = clock.schedule(after: patience) { waiter.resume(returning: ()) }
        defer { clock.cancel(token) }
        membershipWaiters.append(waiter)
        // One whose time ran out, or that was cancelled, must not stay behind.
        defer { membershipWaiters.removeAll { $0 === waiter } }
        // Over, too late, or cancelled: the membership says what came of it.
        try? await waiter.value()
        return isAdmitted
    }

    private func resumeMembershipWaiters() {
        let waiters = membershipWaiters
        membershipWaiters = []
        for waiter in waiters { waiter.resume(returning: ()) }
    }
}
