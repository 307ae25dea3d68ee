package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor
package import DeP2PSessions

/// The light form of a network: nodes whose connections carry streams without packets, over the links of a
/// ``SimulatedNetwork``: their latency, who reaches whom, and no loss. Over a link without latency, what is sent has arrived.
@NetworkActor
package final class LightNetwork {
    /// How an address behaves that is dialled.
    package enum Behaviour {
        case answer(LightTransport)
        case fail(TransportFailure)
        /// Nothing ever answers.
        case hang
    }

    /// The time of its nodes: it stands still, however busy the machine is, but inside its `run`.
    package let clock: SimulatedNetwork
    package var behaviours: [SocketAddress: Behaviour] = [:]
    package private(set) var dialled: [SocketAddress] = []
    /// Messages on their way, and when one last set out or arrived.
    package private(set) var underWay = 0
    package private(set) var lastTravel = NetworkInstant(nanoseconds: 0)
    /// Whether who is dialled says its greeting, as over QUIC: without it each side hears of the other later.
    package var greets = false
    /// Told of each connection and stream.
    var onEvent: (@NetworkActor (String) -> Void)?
    let random: RandomSource
    private var nextConnection: UInt64 = 0

    /// With links of `clock`.
    init(_ clock: SimulatedNetwork, random: RandomSource) {
        (self.clock, self.random) = (clock, random)
    }

    package func node(_ nodeID: NodeID, at address: SocketAddress) -> LightTransport {
        let transport = LightTransport(nodeID, at: address, in: self)
        behaviours[address] = .answer(transport)
        return transport
    }

    /// What travels from one address to another; `nil` where it has arrived at once.
    func travel(from: SocketAddress, to: SocketAddress) -> Travel? {
        let route = SimulatedNetwork.Route(from: from.ip, to: to.ip)
        guard latency(route) > .zero else { return nil }
        return { [weak self] arrival in
            guard let self else { return }
            underWay += 1
            lastTravel = clock.now
            _ = clock.schedule(after: latency(route)) { [weak self] in
                guard let self else { return }
                underWay -= 1
                lastTravel = clock.now
                arrival()
            }
        }
    }

    private func latency(_ route: SimulatedNetwork.Route) -> Duration { (clock.links[route] ?? clock.link).latency }

    func connect(_ dialler: LightTransport, to address: SocketAddress, expecting: NodeID?) async throws
        -> any SecureConnection
    {
        dialled.append(address)
        switch behaviours[address] {
        case nil: throw TransportFailure(.refused, detail: "nothing listens")
        case .fail(let failure): throw failure
        case .hang:
            let never = Waiter<any SecureConnection>()
            return try await never.value()
        case .answer(let listener):
            if let expecting, expecting != listener.nodeID {
                throw TransportFailure(.wrongPeer, detail: "expected \(expecting), found \(listener.nodeID)")
            }
            return try await open(dialler, listener)
        }
    }

    private func open(_ dialler: LightTransport, _ listener: LightTransport) async throws -> any SecureConnection {
        let there = travel(from: dialler.address, to: listener.address)
        let back = travel(from: listener.address, to: dialler.address)
        // One round trip of the handshake; the listener has its end with the third flight.
        for way in [there, back].compactMap(\.self) {
            let arrived = Waiter<Void>()
            way { arrived.resume(returning: ()) }
            try await arrived.value()
        }
        nextConnection += 1
        let number = nextConnection
        onEvent?("connection \(number) \(dialler.nodeID) \(listener.nodeID)")
        let pair = LightConnection.pair(
            initiator: dialler.nodeID, acceptor: listener.nodeID, initiatorAddress: dialler.address,
            acceptorAddress: listener.address, secret: random.bytes(32), travel: (there, back))
        if greets, let greeting = listener.greeting { pair.acceptor.greet(pair.initiator, with: greeting) }
        pair.initiator.onEnd = { [weak self] end in self?.onEvent?("connection \(number) ends at its dialler: \(end)") }
        dialler.add(pair.initiator)
        let arrive: @NetworkActor () -> Void = {
            listener.add(pair.acceptor)
            listener.handler?(pair.acceptor)
        }
        if let there { there(arrive) } else { arrive() }
        return pair.initiator
    }
}

@NetworkActor
package final class LightTransport: Transport {
    package let nodeID: NodeID
    package let address: SocketAddress
    /// Those that have not ended when the last began; of ones without latency all, for tests that look at ended ones too.
    package private(set) var connections: [LightConnection] = []
    private let network: LightNetwork
    var handler: (@NetworkActor (any SecureConnection) -> Void)?
    private(set) var greeting: Greeting?

    init(_ nodeID: NodeID, at address: SocketAddress, in network: LightNetwork) {
        self.nodeID = nodeID
        self.address = address
        self.network = network
    }

    package var localAddresses: [SocketAddress] { [address] }

    fileprivate func add(_ connection: LightConnection) {
        connections.removeAll { $0.end != nil && !$0.isImmediate }
        connections.append(connection)
    }

    package func connect(to address: SocketAddress, expecting nodeID: NodeID?) async throws -> any SecureConnection {
        try await network.connect(self, to: address, expecting: nodeID)
    }

    package func setConnectionHandler(_ handler: @escaping @NetworkActor (any SecureConnection) -> Void) {
        self.handler = handler
    }

    package func setGreeting(_ greeting: Greeting) { self.greeting = greeting }
}
