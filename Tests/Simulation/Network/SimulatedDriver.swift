internal import DeP2PIdentity
package import DeP2PReactor

/// One host's socket on a ``SimulatedNetwork``.
@NetworkActor
package final class SimulatedDriver: PacketDriver {
    package let address: SocketAddress
    private let network: SimulatedNetwork
    private weak var sink: (any PacketSink)?
    private var isClosed = false

    init(network: SimulatedNetwork, address: SocketAddress) {
        self.network = network
        self.address = address
    }

    package var localAddresses: [SocketAddress] { [address] }
    package func start(_ sink: any PacketSink) { self.sink = sink }
    package func knownDatagramSize(to remote: SocketAddress) -> Int? { nil }

    package func close() {
        guard !isClosed else { return }
        isClosed = true
        sink = nil
        network.remove(self)
    }

    package func send(_ burst: PacketBurst) -> SendOutcome {
        guard !isClosed else { return .sent }
        var offset = 0
        while offset < burst.bytes.count {
            let end = min(offset + burst.segment, burst.bytes.count)
            network.send(Array(burst.bytes[offset..<end]), from: address, to: burst.remote, ecn: burst.ecn)
            offset = end
        }
        return .sent
    }

    func arrive(_ bytes: [UInt8], from: SocketAddress, ecn: UInt8) {
        var bytes = bytes
        bytes.withUnsafeMutableBytes { sink?.receive($0, local: address, remote: from, ecn: ecn) }
    }
}
