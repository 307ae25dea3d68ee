package import DeP2PIdentity
package import DeP2PReactor
package import DeP2PSessions

/// Finds nodes on this machine's networks, and lets itself be found there: libp2p's discovery by Multicast DNS. Carries out
/// what ``MDNSMachine`` decides.
///
/// Calling order: ``show(_:)`` any number of times, ``networkChanged()`` when it has, ``withdraw()``, ``close()``. Who only
/// looks for others opens its sockets when it first does.
@NetworkActor
package final class MDNS {
    /// Whom the node lets itself be found by.
    package enum Showing: Equatable, Sendable {
        case nobody
        /// Everybody: it shows its NodeID.
        case everybody
        /// Who is in its realm and knows its NodeID, which it shows to nobody (``MemberTag``).
        case members
    }

    /// Interfaces spoken on.
    package nonisolated static let interfaceLimit = 16
    /// Random bytes of a name; libp2p's specification wants 32 letters and digits at least.
    nonisolated static let nameBytes = 16

    /// What is told: when it is another, it is told under another name.
    private struct Content: Equatable {
        var showing = Showing.nobody
        var realm: AuthenticationKey?
        var addresses: [UInt32: [Address]] = [:]
    }

    private let nodeID: NodeID
    private let surroundings: MDNSSurroundings
    private let driver: MachineDriver<MDNSMachine>
    private let sockets: LinkSockets
    private var links: [Link] = []
    private var isOpen = false
    private var isClosed = false
    private var content = Content()
    private var peerName: [UInt8] = []
    private var searches: [Int: AsyncStream<FoundAddresses>.Continuation] = [:]
    private var lastSearch = 0

    package init(_ nodeID: NodeID, in surroundings: MDNSSurroundings) {
        self.nodeID = nodeID
        self.surroundings = surroundings
        driver = MachineDriver(MDNSMachine(random: surroundings.random), clock: surroundings.clock)
        sockets = LinkSockets(surroundings.open)
        driver.carryOut = { [weak self] in self?.carryOut($0) }
        sockets.onMessage = { [weak self] message, link, sender, isAnswer in
            self?.driver.handle { machine, now in
                machine.received(message, on: link, from: sender, isAnswer: isAnswer, now: now)
            }
        }
    }

    // MARK: This node

    /// Whom the node is shown to from now on.
    ///
    /// - Parameter realm: the key of ``MemberTag``, in a realm: by it other members are known, too.
    package func show(_ showing: Showing, realm: AuthenticationKey?) {
        guard !isClosed else { return }
        driver.note { machine, _ in machine.realm = realm }
        if showing != .nobody { open() }
        tell(showing, realm)
    }

    /// Interfaces, or the node's addresses on them, may be others.
    package func networkChanged() {
        guard isOpen, !isClosed else { return }
        lookAtLinks()
        if driver.machine.isSearching { sockets.openForAsking(links) }
        tell(content.showing, content.realm)
    }

    /// Says goodbye: nobody finds the node here any more.
    package func withdraw() { tell(.nobody, content.realm) }

    package func close() {
        isClosed = true
        for found in searches.values { found.finish() }
        searches = [:]
        driver.stop()
        sockets.close()
    }

    private func open() {
        guard !isOpen else { return }
        isOpen = true
        lookAtLinks()
    }

    private func lookAtLinks() {
        links = surroundings.links().prefix(Self.interfaceLimit).flatMap { interface in
            [IPAddress.Family.v4, .v6].filter { family in
                // Linux has no route for IPv6 groups on loopback.
                interface.addresses.contains { $0.address.ip.family == family }
                    && (family == .v4 || !interface.isLoopback)
            }.map { Link(interface, $0) }
        }
        sockets.listen(on: links)
        driver.handle { [links] machine, now in machine.setLinks(links, now: now) }
    }

    private func tell(_ showing: Showing, _ realm: AuthenticationKey?) {
        var new = Content(showing: showing, realm: realm)
        if showing != .nobody {
            for link in links { new.addresses[link.id.interface] = ownAddresses(on: link) }
        }
        if new != content {
            content = new
            peerName = Array(Hex.encode(surroundings.random.bytes(Self.nameBytes)).utf8)
        }
        var announcements: [Link.ID: PeerAnnouncement] = [:]
        for link in links { announcements[link.id] = announcement(new.addresses[link.id.interface] ?? []) }
        driver.handle { machine, now in machine.tell(announcements, now: now) }
    }

    private func ownAddresses(on link: Link) -> [Address] {
        Array(surroundings.addresses(link.interface).prefix(PeerText.addressLimit))
    }

    private func announcement(_ own: [Address]) -> PeerAnnouncement? {
        guard case .quic(let port)? = own.first?.transport else { return nil }
        let hosts = own.compactMap { address in if case .ip(let ip)? = address.host { ip } else { nil } }
        let text: PeerText
        switch content.showing {
        case .nobody: return nil
        case .everybody:
            let addresses = own.map { Array("\($0.with(nodeID: nodeID))".utf8) }
            text = PeerText(addresses: addresses, realmTag: content.realm.map { tag(addresses, $0, nil).bytes })
        case .members:
            guard let realm = content.realm else { return nil }
            let addresses = own.map { Array("\($0)".utf8) }
            text = PeerText(
                addresses: addresses, tag: tag(addresses, realm, nodeID).bytes,
                realmTag: tag(addresses, realm, nil).bytes)
        }
        return PeerAnnouncement(peerName: peerName, text: text, port: port, hosts: hosts)
    }

    private func tag(_ addresses: [[UInt8]], _ realm: AuthenticationKey, _ nodeID: NodeID?) -> MemberTag {
        MemberTag(peerName: peerName, nodeID: nodeID, addresses: addresses, realm: realm)
    }

    // MARK: Carrying out

    private func carryOut(_ actions: [MDNSMachine.Action]) {
        for action in actions {
            switch action {
            case .group(let message, let link): sockets.send(message, toGroupOf: link)
            case .asker(let message, let asker, let link): sockets.send(message, to: asker, on: link)
            case .ask(let message): sockets.ask(message)
            case .found(let search, let addresses):
                let known = addresses.map { KnownAddress($0, origin: .link, learnedAt: 0) }
                searches[search]?.yield(FoundAddresses(known, from: .neighbour))
            case .ended(let search, let heard):
                let found = searches.removeValue(forKey: search)
                found?.yield(FoundAddresses([], detail: "\(heard) node\(heard == 1 ? "" : "s") heard"))
                found?.finish()
            }
        }
        if !driver.machine.isSearching { sockets.closeForAsking() }
    }
}

extension MDNS: AddressSource {
    package nonisolated var name: String { "mdns" }

    package func addresses(of nodeID: NodeID) -> AsyncStream<FoundAddresses> { search(for: nodeID) }

    private func search(for nodeID: NodeID?) -> AsyncStream<FoundAddresses> {
        let (stream, found) = FoundAddresses.makeStream()
        guard !isClosed else {
            found.finish()
            return stream
        }
        lastSearch += 1
        let search = lastSearch
        searches[search] = found
        found.onTermination = { [weak self] _ in networkTask { self?.leave(search) } }
        open()
        sockets.openForAsking(links)
        driver.handle { machine, now in machine.search(search, for: nodeID, now: now) }
        return stream
    }

    /// Nobody looks any more.
    private func leave(_ search: Int) {
        guard searches.removeValue(forKey: search) != nil else { return }
        driver.note { machine, _ in machine.endSearch(search) }
        if !driver.machine.isSearching { sockets.closeForAsking() }
    }
}

extension MDNS: MemberSource {
    package func members() -> AsyncStream<FoundAddresses> { search(for: nil) }
}
