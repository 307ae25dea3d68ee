internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// One node asked one thing.
extension DHTNode {
    /// What a node has answered, as far as it may be made use of.
    struct Answer: Sendable {
        /// Its contacts have only addresses that may be dialled on this node's word.
        var response: DHTResponse
        /// What the word of the node is worth.
        let voucher: AddressRule.Voucher
        let elapsed: Duration
    }

    /// Asks over the session that is open, or else a new one at the contact's addresses; the table hears what came of it.
    ///
    /// - Throws: `ConnectError`, ``SessionError``, ``DHTMessageError``; `CancellationError`, which says nothing of the node.
    func ask(_ contact: DHTContact, _ request: DHTRequest) async throws -> Answer {
        do {
            let start = clock.now
            let session = try await connections.errand(to: target(of: contact), timeout: Self.requestTimeout)
            let left = Self.requestTimeout - clock.now.duration(since: start)
            let bytes = try await session.ask(
                protocolID, try request.encoded(), limit: DHTRequest.messageLimit, within: max(left, .zero),
                endsAtOnce: false)
            let response = try DHTResponse(decoding: bytes)
            answered(contact, on: session)
            return usable(response, of: session, after: clock.now.duration(since: start))
        } catch {
            if !(error is CancellationError) { table.handle { machine, _ in machine.failed(contact.key) } }
            throw error
        }
    }

    /// Connects ahead of need.
    func connect(_ contact: DHTContact) async throws {
        _ = try await connections.errand(to: target(of: contact), timeout: Self.requestTimeout)
    }

    /// Of one that others have named only a few addresses are dialled: they may be anybody's.
    private func target(of contact: DHTContact) -> DialTarget {
        let limit = bootstrap.contains(contact) ? DHTContact.addressLimit : Self.namedAddresses
        return DialTarget(nodeID: contact.nodeID, addresses: Array(contact.addresses.prefix(limit)))
    }

    /// Who is reached through a relay only serves nobody: he is no entry.
    private func answered(_ contact: DHTContact, on session: Session) {
        let known = self.contact(contact, on: session)
        // Nor is one whose addresses are all elsewhere than where it was seen.
        guard session.validatedPeer != nil, !known.addresses.isEmpty else {
            return table.handle { machine, _ in machine.failed(contact.key) }
        }
        table.handle { machine, now in machine.answered(known, subnet: Self.subnet(of: session), now: now) }
    }

    /// The contact at the address where it was reached, and the others that are said of it.
    func contact(_ contact: DHTContact, on session: Session) -> DHTContact {
        var addresses = contact.addresses.filter { !$0.isRelayed }
        if session.isInitiator, session.path.tcpPeer == nil, let peer = session.validatedPeer, peer.scope == 0 {
            let proven = Address.quic(peer.ip, port: peer.port)
            addresses = [proven] + addresses.filter { $0 != proven }
        } else if !session.isInitiator, let ip = session.validatedPeer?.ip {
            // It dialled this node, and may say that it is anywhere: others are sent only where it was seen.
            addresses = addresses.filter { $0.host == .ip(ip) }
        }
        return DHTContact(
            contact.nodeID, addresses: Array(addresses.prefix(Self.contactAddresses)), key: contact.key)
    }

    /// The subnet that a node counts for; `nil` for one of this machine or network, which no stranger can pretend to be.
    static func subnet(of session: Session) -> Subject? {
        guard let ip = session.validatedPeer?.ip, ip.isGlobal else { return nil }
        return Subject(ip).subnet
    }

    /// Of an answer, what may be dialled on the word of the node that gave it.
    private func usable(_ response: DHTResponse, of session: Session, after elapsed: Duration) -> Answer {
        let voucher = connections.addressRule().voucher(of: session)
        var response = response
        response.closer = dialable(response.closer, from: voucher)
        response.providers = dialable(response.providers, from: voucher)
        return Answer(response: response, voucher: voucher, elapsed: elapsed)
    }

    /// Each at the addresses that may be dialled, and who has none left out.
    func dialable(_ contacts: [DHTContact], from voucher: AddressRule.Voucher) -> [DHTContact] {
        let rule = connections.addressRule()
        return contacts.compactMap { contact in
            guard contact.nodeID != connections.localNodeID else { return nil }
            let addresses = contact.addresses.compactMap(\.withoutNodeID).filter { address in
                (connections.usesDirect || address.isRelayed) && rule.admits(address, from: voucher)
            }
            return addresses.isEmpty
                ? nil : DHTContact(contact.nodeID, addresses: addresses, key: contact.key)
        }
    }
}
