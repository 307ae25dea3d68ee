import DeP2PIdentity
import DeP2PReactor
import DeP2PRealm
import DeP2PSessions
import DeP2PSimulation
import Testing

@testable import DeP2P
@testable import DeP2PDiscovery

/// Members that know of each other nothing but the realm key, a NodeID and a node of the BitTorrent DHT (issue 11, point 6).
@Suite @NetworkActor struct NodeMainlineTests {
    /// A node of that DHT which knows no other.
    @NetworkActor
    private final class Server {
        private let channel: any DatagramChannel
        private let id = [UInt8](repeating: 7, count: MainlineID.byteCount)
        private(set) var items: [MainlineID: Bencode] = [:]
        private(set) var questions: [String: Int] = [:]

        init(on machine: SimulatedMachine) throws {
            let address = SocketAddress(machine.ip, port: 6_881)
            channel = try machine.environment.sockets.channel(address, forStrangers: true)
            channel.onDatagram = { [weak self] in self?.received($0) }
        }

        private func received(_ datagram: Datagram) {
            guard let message = Bencode(decoding: datagram.bytes), let name = message["q"]?.asBytes,
                let arguments = message["a"], let number = message["t"]
            else { return }
            questions[String(decoding: name, as: UTF8.self), default: 0] += 1
            var body: [[UInt8]: Bencode] = [Array("id".utf8): .bytes(id), Array("token".utf8): .text("t")]
            if let target = arguments["target"]?.asBytes.flatMap({ MainlineID(bytes: $0) }),
                case .dictionary(let item)? = items[target]
            {
                for key in ["k", "seq", "sig", "v"] { body[Array(key.utf8)] = item[Array(key.utf8)] }
            } else if let key = arguments["k"]?.asBytes {
                items[MainlineID(ofItem: key)] = arguments
            }
            let answer: Bencode = ["r": .dictionary(body), "t": number, "y": .text("r")]
            channel.send(answer.encoded, to: datagram.remote)
        }
    }

    private func configuration(_ server: String?, isFound: Bool) -> NodeConfiguration {
        var configuration = NodeConfiguration(identity: IdentityKey.generate())
        configuration.usesMainline = server != nil
        configuration.mainlineNodes = [server].compactMap { $0 }
        configuration.reserves = isFound
        configuration.mapsPorts = false
        return configuration
    }

    @Test func membersFindEachOtherWithNothingOfAnybodys() async throws {
        let world = SimulatedWorld(seed: 1)
        try await world.run {
            let key = RealmKey.generate()
            let machine = world.machine()
            let server = try Server(on: machine)
            world.names["router.example"] = [machine.ip]
            let there = try world.node(configuration("router.example:6881", isFound: true), on: world.machine())
            let here = try world.node(configuration("\(machine.ip):6881", isFound: false), on: world.machine())
            let outsider = try world.node(configuration("\(machine.ip):6881", isFound: false), on: world.machine())
            for node in [there, here] { try node.join(key) }
            try outsider.join(.generate())
            try await world.network.sleep(for: .seconds(5))
            // The world begins at midnight: the record, and the one that announces it, stand in two epochs. Who only goes out
            // publishes nothing.
            #expect(server.items.count == 4)
            let session = try await here.connectMember(DialTarget(nodeID: there.nodeID, addresses: []))
            #expect(session.remoteNodeID == there.nodeID)
            await #expect(throws: DeP2PError.self) {
                try await outsider.session(to: DialTarget(nodeID: there.nodeID, addresses: []))
            }
            for node in [there, here, outsider] { await node.stop(grace: .zero) }
        }
    }

    /// Without the switch nothing is sent there.
    @Test func withoutTheSwitchNobodyIsAsked() async throws {
        let world = SimulatedWorld(seed: 2)
        try await world.run {
            let server = try Server(on: world.machine())
            var configuration = configuration(nil, isFound: true)
            configuration.usesDHT = true
            configuration.mainlineNodes = ["45.0.0.1:6881"]
            let node = try world.node(configuration, on: world.machine())
            try node.join(.generate())
            try await world.network.sleep(for: .seconds(60))
            #expect(server.questions.isEmpty && NodeConfiguration().usesMainline == false)
            await node.stop(grace: .zero)
        }
    }
}
