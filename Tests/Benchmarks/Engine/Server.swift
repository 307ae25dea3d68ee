import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import Dispatch
import Glibc

/// What a stream's first byte asks of the server.
enum Request {
    /// Swallow everything, then answer one byte.
    static let sink = UInt8(ascii: "s")
    /// Send back what comes, to the end.
    static let echo = UInt8(ascii: "e")
}

/// More than the desktop limits: the row with 1,000 idle connections comes from one address.
func configuration() -> EndpointConfiguration {
    var configuration = EndpointConfiguration()
    configuration.maxConnections = 4_096
    configuration.maxHandshakesPerSubject = 4_096
    configuration.retryThresholdPerSubject = 4_096
    configuration.maxHandshakes = 4_096
    configuration.retryThreshold = 4_096
    return configuration
}

@NetworkActor
func serve() async throws {
    let loopback = SocketAddress(IPAddress(v4: 0x7F00_0001), port: 0)
    let endpoint = try Endpoint(
        key: .generate(), driver: UDPDriver(bind: [loopback]), configuration: configuration())
    endpoint.onConnection = { connection in
        connection.onStream = { stream in
            networkTask { try? await answer(stream) }
        }
    }
    endpoint.start()
    var hello = Report()
    hello.add(
        "address",
        Address.quic(loopback.ip, port: endpoint.localAddresses[0].port, nodeID: endpoint.nodeID).description)
    hello.show()
    await untilInputEnds()
    endpoint.close()
}

/// Answers one stream as its first byte asks.
@NetworkActor
func answer(_ stream: some ByteStream) async throws {
    guard let first = try await stream.read() else { return stream.finish() }
    if first[0] == Request.sink {
        while try await stream.read() != nil {}
        try await stream.write(Chunk([1]))
    } else {
        try await stream.write(first)
        while let chunk = try await stream.read() { try await stream.write(chunk) }
    }
    stream.finish()
}

func untilInputEnds() async {
    await withCheckedContinuation { continuation in
        DispatchQueue.global().async {
            var byte: UInt8 = 0
            while read(STDIN_FILENO, &byte, 1) > 0 {}
            continuation.resume()
        }
    }
}
