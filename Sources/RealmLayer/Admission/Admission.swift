internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions
internal import DeP2PWire

/// `/dep2p/realm/admission/1.0.0`: each side proves the realm key to the other, once a connection.
///
/// Either side may open it; the side that dialled does so as soon as the connection stands. Who was dialled proves itself
/// earlier where that is asked for, in the handshake (``Greeting``): then the other side goes on at once, and hears later
/// that its own proof was right.
@NetworkActor
final class Admission {
    static let deadline = Duration.seconds(5)
    /// Proofs of the peer that are looked at in a session's life, one at a time: the peer may have joined its realm, or
    /// this node may have, after the first. So there are never more admissions under way than sessions, of which
    /// strangers have their share (``ConnectionLimits``).
    static let proofsPerSession = 8

    /// The proofs that a session's peer has sent.
    private struct Proofs {
        var isLookedAt = false
        var count = 0
    }

    /// The admission key of the realm that the node is in.
    private var key: AuthenticationKey?
    /// What a node in no realm makes its greetings with: it does what one in another realm does.
    private let noRealmKey: AuthenticationKey
    private var proofs: [UInt64: Proofs] = [:]
    private var backoff = AdmissionBackoff()
    private let running = SharedTasks<UInt64, Void>()
    private let connections: Connections
    private let onAdmitted: @NetworkActor (Session) -> Void

    init(_ connections: Connections, onAdmitted: @escaping @NetworkActor (Session) -> Void) {
        self.connections = connections
        self.onAdmitted = onAdmitted
        noRealmKey = AuthenticationKey(connections.random.bytes(32))
        connections.setGreeting(
            Greeting(
                exporterLabel: AdmissionContext.exporterLabel, exporterLength: AdmissionContext.exporterLength
            ) { [weak self, random = connections.random, dialled = connections.localNodeID] exporter in
                guard let self else { return random.bytes(Greeting.length) }
                return AdmissionContext.earlyProof(of: dialled, exporter: exporter, key: key ?? noRealmKey)
            })
        connections.registry.register(ProtocolRegistry.admissionID, deadline: .within(Self.deadline)) {
            [weak self] session, stream in
            try await self?.accept(stream, on: session)
        }
    }

    /// Sets the realm, or none: admissions under way for another end.
    func use(_ realmKey: RealmKey?) {
        key = realmKey?.deriveKey(label: AdmissionContext.keyLabel)
        running.cancelAll()
    }

    // MARK: Opening

    /// Makes sure that the session is admitted; callers at the same time share one admission.
    ///
    /// - Throws: ``RealmError``.
    func admit(_ session: Session) async throws {
        if session.isAdmitted { return }
        if let end = session.end { throw RealmError(.closed(end)) }
        guard let task = start(session) else { throw RealmError(.notMember, detail: "join a realm first") }
        do {
            try await task.value()
        } catch let error as RealmError {
            // The peer may have admitted itself meanwhile from its side.
            if !session.isAdmitted { throw error }
        } catch {
            if !session.isAdmitted { throw Self.realmError(error, on: session) }
        }
    }

    /// Begins the admission without waiting for it; `nil` outside a realm.
    ///
    /// - Parameter greeting: what the peer said in the handshake, if that has just been.
    @discardableResult
    func start(_ session: Session, greeting: [UInt8]? = nil) -> SharedTask<Void>? {
        if let task = running[session.id] { return task }
        guard let key, session.isOpen, !session.isAdmitted else { return nil }
        session.beginAdmission()
        return running.task(for: session.id) { [weak self, clock = connections.clock] in
            var isAdmitted = false
            defer { session.endAdmission(admitted: isAdmitted) }
            isAdmitted = try await clock.withDeadline(Self.deadline) {
                let proving = try await Proving(key, to: session, greeting)
                guard proving.opener.isPeerProven else { return try await proving.isAccepted() }
                networkTask { await Self.watch(proving, on: session) }
                return true
            }
            // The node may have left the realm while the answer travelled.
            guard isAdmitted, let self, self.key == key else {
                isAdmitted = false
                throw RealmError(.refused)
            }
            self.admitted(session)
            if let end = session.end { throw RealmError(.closed(end)) }
        }
    }

    /// This side's proof, on its way.
    @NetworkActor
    private struct Proving {
        let opener: AdmissionOpener
        private let stream: NegotiatedStream

        init(_ key: AuthenticationKey, to session: Session, _ greeting: [UInt8]?) async throws {
            let exporter = try session.exportKeyingMaterial(
                label: AdmissionContext.exporterLabel, count: AdmissionContext.exporterLength)
            let context = AdmissionContext(
                exporter: exporter, opener: session.localNodeID, acceptor: session.remoteNodeID)
            opener = AdmissionOpener(context: context, key: key, greeting: greeting)
            stream = try await session.openStream(ProtocolRegistry.admissionID)
            try await stream.writeFrame(try AdmissionMessage.encode(proof: opener.proof))
            stream.finish()
        }

        func isAccepted() async throws -> Bool {
            defer { stream.stopReading(StreamCode.done.rawValue) }
            let answer = try await FrameReader(stream, limit: AdmissionMessage.limit).required()
            return opener.receive(try AdmissionMessage.decode(answer)) == .admitted
        }
    }

    /// The peer has proven itself in the handshake, and goes on to look at this side's proof. Where it finds that wrong, it
    /// has left the realm between the two. While it says nothing, streams to it wait likewise.
    private static func watch(_ proving: Proving, on session: Session) async {
        do {
            if try await session.clock.withDeadline(deadline, { try await proving.isAccepted() }) { return }
        } catch {
            let error = realmError(error, on: session)
            switch error.code {
            case .timeout, .closed: return
            case .refused: break
            default: return session.close(.normal, reason: "its membership was not looked at: \(error)")
            }
        }
        session.close(.normal, reason: "the node has left the realm")
    }

    private static func realmError(_ error: any Error, on session: Session) -> RealmError {
        if let end = session.end { return RealmError(.closed(end)) }
        if error is FrameError { return RealmError(.violation, detail: "\(error)") }
        let error = SessionError(error, on: session)
        return switch error.code {
        case .closed(let end): RealmError(.closed(end))
        case .timeout: RealmError(.timeout)
        case .notMember: RealmError(.refused)
        case .busy: RealmError(.busy, detail: error.description)
        case .reset: RealmError(.refused, detail: error.description)
        case .unsupported, .violation: RealmError(.violation, detail: error.detail)
        }
    }

    // MARK: Accepting

    private func accept(_ stream: NegotiatedStream, on session: Session) async throws {
        guard begin(session) else { throw SessionError(.busy) }
        defer {
            proofs[session.id]?.isLookedAt = false
            session.proofJudged()
        }
        let frame = try await FrameReader(stream, limit: AdmissionMessage.limit).required()
        let proof = try AdmissionMessage.decode(frame)
        let exporter = try session.exportKeyingMaterial(
            label: AdmissionContext.exporterLabel, count: AdmissionContext.exporterLength)
        let (verdict, delay) = judge(proof, exporter: exporter, session)
        let answer = try AdmissionMessage.encode(proof: verdict.answer)
        if verdict.isAdmitted { admitted(session) }
        if delay > .zero { try await connections.clock.sleep(for: delay) }
        try await stream.writeFrame(answer)
    }

    /// Books another proof of the session's peer; false while one is looked at, and after the last.
    private func begin(_ session: Session) -> Bool {
        if proofs[session.id] == nil {
            proofs[session.id] = Proofs()
            session.onEnd { [weak self] session, _ in self?.proofs[session.id] = nil }
        }
        guard session.isOpen, var entry = proofs[session.id], !entry.isLookedAt, entry.count < Self.proofsPerSession
        else { return false }
        entry.isLookedAt = true
        entry.count += 1
        proofs[session.id] = entry
        return true
    }

    /// Once a session, however often its peer proves itself.
    private func admitted(_ session: Session) {
        guard !session.isAdmitted, session.isOpen else { return }
        session.beginAdmission()
        session.endAdmission(admitted: true)
        // When others have taken all slots meanwhile it is closed instead.
        if session.isAdmitted { onAdmitted(session) }
    }

    private func judge(
        _ proof: [UInt8], exporter: [UInt8], _ session: Session
    ) -> (AdmissionAcceptor.OnProof, delay: Duration) {
        let context = AdmissionContext(
            exporter: exporter, opener: session.remoteNodeID, acceptor: session.localNodeID)
        let verdict = AdmissionAcceptor(context: context, key: key, standIn: connections.random.bytes(32)).receive(
            proof)
        guard !verdict.isAdmitted else {
            backoff.succeeded(session.remoteNodeID)
            return (verdict, .zero)
        }
        return (verdict, backoff.failed(session.remoteNodeID, session.subject, now: connections.clock.now))
    }
}
