import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// Forged credentials over a real handshake: both sides refuse, each with a reason that can be read.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct HandshakeTests {
    /// Those of our forged certificates that a TLS stack agrees to send.
    private static func credentials(_ name: String) throws -> TLSCredentials {
        let vectors = try vectorLines("certificates.txt")
        let vector = try #require(vectors.first { $0[0] == name })
        return try TLSCredentials(
            certificate: try #require(Hex.decode(vector[3])), secret: try #require(Hex.decode(vector[2])),
            applicationProtocol: "libp2p")
    }

    nonisolated private static let forgeries = [
        "swapped-extension", "other-identity", "expired", "not-yet-valid", "tampered-self-signature",
        "missing-extension", "unknown-critical", "ed25519-as-secp256k1", "trailing-bytes", "rsa-8192-tls-key",
        "p521-tls-key",
    ]

    @Test(arguments: forgeries)
    func dialsNoForgedServer(_ name: String) async throws {
        let forged = try Self.credentials(name)
        try await withPair { pair, _ in
            pair.server.credentials = forged
            let error = await failure { _ = try await pair.client.connect(to: pair.serverAddress, expecting: nil) }
            let quic = try #require(error as? QUICError)
            #expect(quic.code == .badCertificate)
            #expect(!quic.message.isEmpty && quic.message.contains("certificate"))
            try await pair.network.sleep(for: .seconds(1))
            #expect(pair.inbound.isEmpty && pair.server.connections.isEmpty && pair.client.connections.isEmpty)
        }
    }

    @Test(arguments: forgeries)
    func acceptsNoForgedClient(_ name: String) async throws {
        let forged = try Self.credentials(name)
        try await withPair { pair, _ in
            pair.client.credentials = forged
            let text = try await refusal(of: pair)
            #expect(text.contains("certificate"), "\(text)")
        }
    }

    @Test func acceptsTheControl() async throws {
        for name in [
            "plain", "critical-identity", "ed25519-tls-key", "p384-tls-key", "rsa-2048-tls-key", "rsa-4096-tls-key",
            "rsa-identity",
        ] {
            let credentials = try Self.credentials(name)
            try await withPair { pair, _ in
                pair.client.credentials = credentials
                let (_, inbound) = try await pair.connectBoth()
                #expect(inbound.remoteNodeID != pair.client.nodeID)
            }
        }
    }

    @Test func refusesAClientWithoutCertificate() async throws {
        try await withPair { pair, _ in
            pair.client.credentials = try TLSCredentials(certificate: [], secret: [], applicationProtocol: "libp2p")
            let text = try await refusal(of: pair)
            #expect(text.contains("certificate"), "\(text)")
        }
    }

    @Test func refusesAChainOfTwo() async throws {
        let chain = try TLSCredentials(
            certificate: vectorFile("chain.pem"), secret: vectorFile("chain-key.pem"), applicationProtocol: "libp2p")
        try await withPair { pair, _ in
            pair.client.credentials = chain
            _ = try await refusal(of: pair)
        }
        try await withPair { pair, _ in
            pair.server.credentials = chain
            let error = await failure { _ = try await pair.client.connect(to: pair.serverAddress, expecting: nil) }
            #expect(error as? QUICError == QUICError(.badCertificate, ""))
            #expect((error as? QUICError)?.message.contains("2 certificates") == true)
        }
    }

    @Test(arguments: ["h3", ""])
    func refusesAnotherApplicationProtocol(_ name: String) async throws {
        let vector = try vectorLines("certificates.txt")[0]
        let credentials = try TLSCredentials(
            certificate: try #require(Hex.decode(vector[3])), secret: try #require(Hex.decode(vector[2])),
            applicationProtocol: name)
        try await withPair { pair, _ in
            pair.client.credentials = credentials
            _ = try await refusal(of: pair)
        }
        try await withPair { pair, _ in
            pair.server.credentials = credentials
            let error = await failure { _ = try await pair.client.connect(to: pair.serverAddress, expecting: nil) }
            #expect(error is QUICError)
            #expect(pair.inbound.isEmpty)
        }
    }

    @Test func namesBothIdentitiesWhenAnotherAnswers() async throws {
        let wanted = IdentityKey.generate().nodeID
        try await withPair { pair, _ in
            let error = await failure { _ = try await pair.client.connect(to: pair.serverAddress, expecting: wanted) }
            let quic = try #require(error as? QUICError)
            #expect(quic.code == .wrongPeer)
            #expect(quic.message.contains("\(wanted)") && quic.message.contains("\(pair.server.nodeID)"))
            #expect(pair.inbound.isEmpty)
        }
    }

    @Test func exportsTheSameSecretOnBothSidesOnly() async throws {
        try await withPair { pair, _ in
            let (one, two) = try await pair.connectBoth()
            let secret = try one.exportKeyingMaterial(label: "EXPORTER-test", count: 32)
            #expect(try two.exportKeyingMaterial(label: "EXPORTER-test", count: 32) == secret)
            #expect(try two.exportKeyingMaterial(label: "EXPORTER-other", count: 32) != secret)
            let other = try await pair.connect()
            #expect(try other.exportKeyingMaterial(label: "EXPORTER-test", count: 32) != secret)
            one.close(code: 0)
            #expect(throws: QUICError.self) { try one.exportKeyingMaterial(label: "EXPORTER-test", count: 32) }
        }
    }

    /// How the client learns that the server refused it. A TLS 1.3 client is done before the server has seen its
    /// certificate, so the dial may succeed and the connection end at once.
    private func refusal(of pair: TestPair) async throws -> String {
        var text = ""
        do {
            let connection = try await pair.client.connect(to: pair.serverAddress, expecting: nil)
            let reason = try await connection.waitClosed()
            #expect(reason.origin == .peer)
            text = reason.description
        } catch let error as QUICError {
            #expect(error.code == .closedByPeer)
            text = error.message
        }
        #expect(pair.inbound.isEmpty && pair.server.connections.isEmpty && pair.server.handshakes.isEmpty)
        return text
    }
}
