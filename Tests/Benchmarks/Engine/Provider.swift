import DeP2P
import DeP2PIdentity
import DeP2PReactor

/// A node that provides something until standard input ends: what other implementations of Kademlia are to find
/// (`Tests/Interop`). No command provides anything yet; the engine does.
@NetworkActor
func provide(_ cid: CID, through server: Address) async throws {
    var configuration = NodeConfiguration()
    configuration.identity = .generate()
    configuration.listen = [SocketAddress(IPAddress(v4: 0x7F00_0001), port: 0)]
    configuration.usesDHT = true
    configuration.bootstrap = [server]
    let node = try await Node.start(configuration)
    let told = await node.provideInDHT(cid)
    guard told > 0 else { throw BenchmarkError("nobody was told") }
    var hello = Report()
    hello.add("address", node.addresses[0].description)
    hello.add("peer_id", node.nodeID.description)
    hello.add("told", told)
    hello.show()
    await untilInputEnds()
    await node.stop(grace: .seconds(1))
}
