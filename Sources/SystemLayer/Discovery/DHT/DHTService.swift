internal import DeP2PIdentity
internal import DeP2PQUIC
package import DeP2PReactor
internal import DeP2PSessions

/// Answers the DHT's requests, and keeps records for others: the side that is asked.
///
/// Strangers are served, as much as each subject's budget has. Who asks for its own NodeID wants to be found: it is asked who
/// and where it is, and others who look for it find it here, whether it serves the DHT itself or not. Nobody else is named;
/// who asks for the place of its NodeID instead, as a member of a realm does, is named no more.
@NetworkActor
package final class DHTService {
    /// Requests that one stream may carry, one after the other.
    nonisolated static let requestsPerStream = 64
    nonisolated static let streamsPerSession = 16
    nonisolated static let deadline = Duration.seconds(20)
    /// Requests of one subject: a lookup asks a node once or twice, many nodes may be behind one NAT.
    nonisolated static let rate = SubjectBudget.Rate(perSecond: 50, burst: 200)
    /// Stores cost a signature each.
    nonisolated static let storeRate = SubjectBudget.Rate(perSecond: 20, burst: 100)
    /// Records of an earlier run that are taken in without anybody else having a turn.
    private nonisolated static let restoredAtOnce = 256
    /// A peer is asked at most this often where it is.
    nonisolated static let askInterval = Duration.seconds(1)

    private let dht: DHTNode
    private let records: MachineDriver<RecordStore>
    private let tokens: StoreTokens
    private let quota = StreamQuota(limit: streamsPerSession)
    private var budget = SubjectBudget(rate)
    private var storeBudget = SubjectBudget(storeRate)
    /// When each session's peer was last asked where it is.
    private var askedAt: [UInt64: NetworkInstant] = [:]
    /// Those that have asked again before that was over.
    private var waiting: Set<UInt64> = []
    private let memory: DHTRecordMemory?
    /// What the last run has kept comes back.
    private(set) var restoring: Task<Void, Never>?

    /// - Parameter memory: where what is kept for others lasts; `nil` for a node that is another one in its next run.
    package init(_ dht: DHTNode, memory: DHTRecordMemory? = nil) {
        (self.dht, self.memory) = (dht, memory)
        records = MachineDriver(
            RecordStore(localKey: DHTKey(dht.connections.localNodeID)), clock: dht.connections.clock)
        tokens = StoreTokens(secret: AuthenticationKey(dht.connections.random.bytes(32)))
    }

    /// Records kept for others.
    package var recordCount: Int { records.machine.count }

    /// Whether somebody's item of that key is kept.
    func has(_ key: DHTKey) -> Bool { records.machine.item(for: key, now: dht.clock.now) != nil }

    package func serve() {
        dht.connections.registry.register(dht.protocolID, deadline: .within(Self.deadline)) {
            [weak self] session, stream in
            guard let quota = self?.quota else { return }
            try await quota.run(session) { try await self?.answer(stream, on: session) }
        }
        if restoring == nil { restoring = networkTask { [weak self] in await self?.restore() } }
    }

    private func restore() async {
        var rest = await memory?.records()[...] ?? []
        while !rest.isEmpty {
            records.note { [part = rest.prefix(Self.restoredAtOnce)] records, now in
                for (record, left) in part {
                    records.restore(record.item, from: record.publisher, left: left, now: now)
                }
            }
            rest = rest.dropFirst(Self.restoredAtOnce)
            // Others have their turn.
            await Task.yield()
        }
    }

    /// Serves nobody any more; what is kept stays until it is over.
    package func stopServing() { dht.connections.registry.unregister(dht.protocolID) }

    package func stop() {
        stopServing()
        records.stop()
    }

    private func answer(_ stream: NegotiatedStream, on session: Session) async throws {
        let reader = FrameReader(stream, limit: DHTRequest.messageLimit)
        for _ in 0..<Self.requestsPerStream {
            guard let frame = try await reader.next() else { return }
            guard budget.take(session.subject, now: dht.clock.now) else { throw SessionError(.busy) }
            let request: DHTRequest
            do {
                request = try DHTRequest(decoding: frame)
            } catch {
                throw SessionError(.violation, detail: "\(error)")
            }
            try await stream.writeFrame(try response(to: request, from: session).encoded(to: request))
        }
    }

    private func response(to request: DHTRequest, from session: Session) -> DHTResponse {
        var response = DHTResponse()
        let voucher = dht.connections.addressRule().voucher(of: session)
        let (place, now) = (request.place, dht.clock.now)
        switch request {
        case .findNode(let key):
            if key == session.remoteNodeID.bytes {
                show(session, true, voucher)
                ask(session)
            }
            response.closer = closest(to: place, naming: key, for: session, voucher)
        case .findPlace:
            if place == DHTKey(session.remoteNodeID) { show(session, false, voucher) }
            response.closer = closest(to: place, naming: nil, for: session, voucher)
        case .getItem:
            response.closer = closest(to: place, naming: nil, for: session, voucher)
            response.item = records.machine.item(for: place, now: now)
            response.token = tokens.token(for: session.remoteNodeID, key: place, now: now)
        case .getProviders:
            response.closer = closest(to: place, naming: nil, for: session, voucher)
            response.providers = records.machine.providers(of: place, now: now).map { told($0, to: voucher) }
            response.token = tokens.token(for: session.remoteNodeID, key: place, now: now)
        case .putItem(_, let token), .addProvider(_, _, let token):
            response.refusal = store(request, token, at: place, from: session, voucher)
        }
        return response
    }

    // MARK: Nodes

    /// Those of the table, and the node itself that was named, where it is connected or was a short while ago.
    private func closest(
        to place: DHTKey, naming name: [UInt8]?, for session: Session, _ voucher: AddressRule.Voucher
    ) -> [DHTContact] {
        let named = name.flatMap { present($0, for: voucher) }
        let near = dht.table.machine.closest(to: place, count: DHT.replication + 1).filter {
            $0.nodeID != session.remoteNodeID && $0 != named
        }
        let rest = near.prefix(DHT.replication - (named == nil ? 0 : 1)).map { told($0, to: voucher) }
        return ([named] + rest).compactMap { $0 }.filter { !$0.addresses.isEmpty }
    }

    private func present(_ name: [UInt8], for voucher: AddressRule.Voucher) -> DHTContact? {
        // Any bytes may be asked for.
        guard let nodeID = try? NodeID(bytes: name), nodeID != dht.connections.localNodeID else { return nil }
        let addresses = dht.connections.peers.shown(nodeID)
        return addresses.isEmpty ? nil : told(DHTContact(nodeID, addresses: addresses), to: voucher)
    }

    /// The contact with those addresses that the asker may be told.
    private func told(_ contact: DHTContact, to voucher: AddressRule.Voucher) -> DHTContact {
        let rule = dht.connections.addressRule()
        return DHTContact(
            contact.nodeID, addresses: contact.addresses.filter { rule.tells($0, to: voucher) }, key: contact.key)
    }

    private func show(_ session: Session, _ isShown: Bool, _ voucher: AddressRule.Voucher) {
        dht.connections.peers.show(session.remoteNodeID, isShown, from: voucher, subject: session.subject)
    }

    /// Asks the peer where it is, so that it is found here.
    private func ask(_ session: Session) {
        let now = dht.clock.now
        guard session.isOpen else { return }
        if let due = askedAt[session.id]?.advanced(by: Self.askInterval), now < due {
            // Its addresses may be others by now, as once a relay has granted it a reservation.
            guard waiting.insert(session.id).inserted else { return }
            _ = dht.clock.schedule(at: due) { [weak self, weak session] in
                guard let self, let session else { return }
                waiting.remove(session.id)
                ask(session)
            }
            return
        }
        if askedAt[session.id] == nil {
            session.onEnd { [weak self] session, _ in
                self?.askedAt[session.id] = nil
                self?.waiting.remove(session.id)
            }
        }
        askedAt[session.id] = now
        networkTask { [weak session] in
            guard let session,
                let information = await traced(
                    awaiting: "where a peer is",
                    {
                        try await Identify.ask(session)
                    })
            else { return }
            session.learned(information)
        }
    }

    // MARK: Records

    /// - Returns: why it is not stored; `nil` where it is.
    private func store(
        _ request: DHTRequest, _ token: [UInt8], at place: DHTKey, from session: Session, _ voucher: AddressRule.Voucher
    ) -> RecordRefusal? {
        let now = dht.clock.now
        guard tokens.accepts(token, from: session.remoteNodeID, key: place, now: now) else { return .badToken }
        guard storeBudget.take(session.subject, now: now) else { return .subnetIsFull }
        let publisher = RecordStore.Publisher(session.remoteNodeID, subnet: session.subject.subnet)
        let reach = dht.size.reach
        var refusal: RecordRefusal?
        records.note { [dht] records, now in
            do throws(RecordRefusal) {
                switch request {
                case .putItem(let item, _): try records.store(item, from: publisher, reach: reach, now: now)
                case .addProvider(let key, let provider, _):
                    // Only content has providers.
                    guard CID.isMultihash(key) else { throw .malformed }
                    let provider = dht.dialable([provider], from: voucher).first
                    guard let provider else { throw .malformed }
                    try records.store(provider: provider, of: place, from: publisher, reach: reach, now: now)
                default: throw .malformed
                }
            } catch {
                refusal = error
            }
        }
        if case .putItem(let item, _) = request, refusal == nil, let keeper = records.machine.publisher(ofItem: place) {
            memory?.keep(DHTRecordMemory.Record(item, from: keeper), sentBy: session.subject)
        }
        return refusal
    }
}
