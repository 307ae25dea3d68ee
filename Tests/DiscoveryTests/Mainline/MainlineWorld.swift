import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation

@testable import DeP2PDiscovery

/// A BitTorrent DHT in the simulated network, with nodes that answer and nodes that lie.
@NetworkActor
final class MainlineWorld {
    /// What a node does.
    enum Kind {
        case honest
        /// Knows nothing of BEP 44.
        case plain
        /// Answers as an honest one does, takes what is put, and never gives it.
        case withholding
        /// Names these whoever is asked for, and nobody else.
        case naming([MainlineContact])
    }

    /// One node, which answers by what it knows.
    @NetworkActor
    final class Server {
        let contact: MainlineContact
        let kind: Kind
        private let channel: DatagramSocket
        var known: [MainlineContact] = []
        var items: [MainlineID: Bencode] = [:]
        /// Questions that came, by name.
        private(set) var asked: [String: Int] = [:]
        /// The arguments of the last question, and the message.
        private(set) var last: Bencode?

        init(_ contact: MainlineContact, _ kind: Kind, in network: SimulatedNetwork) {
            (self.contact, self.kind) = (contact, kind)
            channel = DatagramSocket(network.makeDriver(address: contact.address), clock: network)
            channel.onDatagram = { [weak self] in self?.received($0) }
        }

        func send(_ message: Bencode, to address: SocketAddress) { channel.send(message.encoded, to: address) }

        private func received(_ datagram: Datagram) {
            guard let message = Bencode(decoding: datagram.bytes), message["y"] == .text("q"),
                let name = message["q"]?.asBytes, let arguments = message["a"], let number = message["t"]
            else { return }
            last = message
            asked[String(decoding: name, as: UTF8.self), default: 0] += 1
            if let body = body(String(decoding: name, as: UTF8.self), arguments) {
                send(["r": body, "t": number, "y": .text("r")], to: datagram.remote)
            } else {
                send(["e": .list([.integer(204), .text("no")]), "t": number, "y": .text("e")], to: datagram.remote)
            }
        }

        private func body(_ name: String, _ arguments: Bencode) -> Bencode? {
            var entries: [[UInt8]: Bencode] = [Array("id".utf8): .bytes(contact.id.bytes)]
            if name == "put" { return put(arguments) ? .dictionary(entries) : nil }
            if case .plain = kind, name != "find_node" { return nil }
            guard let target = arguments["target"]?.asBytes.flatMap({ MainlineID(bytes: $0) }) else { return nil }
            let nodes = named(target).flatMap(\.compact)
            entries[Array((contact.address.ip.family == .v4 ? "nodes" : "nodes6").utf8)] = .bytes(nodes)
            if name == "get" {
                entries[Array("token".utf8)] = .bytes(Array("token".utf8))
                if case .withholding = kind {
                } else if case .dictionary(let item)? = items[target] {
                    for key in ["k", "seq", "sig", "v"] { entries[Array(key.utf8)] = item[Array(key.utf8)] }
                }
            }
            return .dictionary(entries)
        }

        private func named(_ target: MainlineID) -> [MainlineContact] {
            if case .naming(let contacts) = kind { return contacts }
            return Array(known.sorted { $0.id.distance(to: target) < $1.id.distance(to: target) }.prefix(8))
        }

        private func put(_ arguments: Bencode) -> Bool {
            guard arguments["token"] == .text("token"), let key = arguments["k"]?.asBytes else { return false }
            let target = MainlineID(ofItem: key + (arguments["salt"]?.asBytes ?? []))
            if let old = items[target]?["seq"]?.asInteger, let new = arguments["seq"]?.asInteger, new < old {
                return false
            }
            items[target] = arguments
            return true
        }
    }

    let world: SimulatedWorld
    private(set) var servers: [Server] = []
    private var random: SplitMix64
    private var lastHost: UInt32 = 0

    init(seed: UInt64) {
        world = SimulatedWorld(seed: seed)
        random = SplitMix64(seed: seed)
    }

    var network: SimulatedNetwork { world.network }

    /// An address of a network of its own.
    func address() -> SocketAddress {
        lastHost += 1
        return SocketAddress(IPAddress(v4: 0x2d00_0001 + lastHost << 8), port: 6_881)
    }

    /// - Parameter id: `nil` for one that follows from the address.
    @discardableResult
    func add(_ kind: Kind = .honest, id: MainlineID? = nil, at address: SocketAddress? = nil) -> Server {
        let address = address ?? self.address()
        let contact = MainlineContact(id ?? .random(at: address.ip, using: &random), at: address)
        let server = Server(contact, kind, in: network)
        servers.append(server)
        return server
    }

    /// Each knows up to eight nodes of each part of the space, as Kademlia's tables do, and its nearest.
    func acquaint() {
        let all = servers.map(\.contact)
        for server in servers {
            let own = server.contact.id
            let near = all.filter { $0 != server.contact }.sorted { $0.id.distance(to: own) < $1.id.distance(to: own) }
            var rooms: [Int: Int] = [:]
            server.known =
                near.prefix(8)
                + near.dropFirst(8).shuffled(using: &random).filter { contact in
                    let distance = contact.id.distance(to: own).bytes
                    let bucket = distance.firstIndex { $0 != 0 } ?? 20
                    let room = bucket * 8 + (bucket < 20 ? distance[bucket].leadingZeroBitCount : 0)
                    rooms[room, default: 0] += 1
                    return rooms[room, default: 0] <= 8
                }
        }
    }

    func random(near target: MainlineID, sharing bytes: Int) -> MainlineID {
        let tail = MainlineID.random(using: &random).bytes.dropFirst(bytes)
        return MainlineID(bytes: target.bytes.prefix(bytes) + tail) ?? target
    }

    func client(
        entrances: [SocketAddress], at address: SocketAddress? = nil, memory: MainlineMemory? = nil
    ) -> MainlineNode {
        let own = address ?? self.address()
        let network = network
        let interface = InterfaceAddress(SocketAddress(own.ip, port: 0), prefixLength: 24)
        return MainlineNode(
            MainlineSurroundings(
                clock: network, random: RandomSource(replaying: SplitMix64(seed: random.next())),
                open: { family in
                    guard family == own.ip.family else { throw SocketError(.unreachable, "no such family") }
                    return DatagramSocket(network.makeDriver(address: own), clock: network)
                }, rule: { AddressRule(interfaces: [interface]) }, entrances: { entrances }),
            memory: memory)
    }

    /// - Parameter key: by default another one each time, by the world's seed.
    func item(seq: Int64 = 1, by key: IdentityKey? = nil, salt: [UInt8] = []) throws -> MutableItem {
        let seed = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        return try MutableItem(by: key ?? IdentityKey(seed: seed), salt: salt, seq: seq, value: Array("5:hello".utf8))
    }
}

extension MainlineNode {
    /// Those that were found of an item's key, and are signed.
    func find(_ item: MutableItem, within patience: Duration = .seconds(15)) async -> [MutableItem] {
        var found: [MutableItem] = []
        _ = await findItem(item.publicKey + item.salt, within: patience) { item in
            if item.isSigned { found.append(item) }
        }
        return found
    }
}
