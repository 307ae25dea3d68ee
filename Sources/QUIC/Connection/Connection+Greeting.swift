internal import CDeP2PQUICShim
internal import DeP2PReactor

/// What a server says to its clients before it knows them: bytes that prove something of this TLS session, on a stream of
/// their own, in its first flight.
///
/// A server can encrypt application data as soon as its Finished is made (RFC 8446 section 2, RFC 9001 section 5.7), and
/// the exporter's value is there then too (RFC 8446 section 7.5); who reads it is not proven yet. A client asks for the
/// greeting by granting one unidirectional stream of exactly ``length`` bytes: others grant none, or far more.
package struct Greeting: Sendable {
    package static let length = 32

    /// The label, and the length, of the exporter's value that ``make`` gets.
    package let exporterLabel: String
    package let exporterLength: Int
    /// Makes ``length`` bytes.
    package let make: @NetworkActor @Sendable ([UInt8]) -> [UInt8]

    package init(
        exporterLabel: String, exporterLength: Int, make: @escaping @NetworkActor @Sendable ([UInt8]) -> [UInt8]
    ) {
        (self.exporterLabel, self.exporterLength, self.make) = (exporterLabel, exporterLength, make)
    }
}

extension Connection {
    /// Says the greeting to a client that asks for it, once there are keys to do so.
    func greet() {
        guard !hasGreeted, role == .server, let greeting = endpoint.greeting, let quic,
            dep2p_quic_grants_one_stream_of(quic, UInt64(Greeting.length)) != 0,
            let exporter = export(greeting.exporterLabel, count: greeting.exporterLength),
            let stream = openUnidirectionalStream()
        else { return }
        hasGreeted = true
        // It fails on a stream that has ended alone, and waits behind others: this is the first.
        _ = try? stream.writeAtOnce(Chunk(greeting.make(exporter)))
        stream.finish()
    }

    /// `nil` where the peer grants none.
    func openUnidirectionalStream() -> QUICStream? {
        guard let quic else { return nil }
        let id = dep2p_quic_open_unidirectional_stream(quic)
        guard id >= 0 else { return nil }
        let stream = QUICStream(id: id, connection: self)
        streams[id] = stream
        return stream
    }

    /// The greeting, or a part of it, has come; of what else streams of one direction might carry nothing is kept. ngtcp2
    /// sees to it that it is never longer than was granted.
    func receivedGreeting(_ bytes: UnsafeRawBufferPointer) {
        guard role == .client, greeting.count + bytes.count <= Greeting.length else { return }
        greeting.append(contentsOf: bytes)
    }

    /// What the server said in its first flight, once: `nil` before all of it has come, and where it said nothing.
    package func takeGreeting() -> [UInt8]? {
        guard greeting.count == Greeting.length else { return nil }
        defer { greeting = [] }
        return greeting
    }

    /// RFC 8446 section 7.5, also while the handshake is under way; `nil` before there are secrets.
    func export(_ label: String, count: Int) -> [UInt8]? {
        guard let quic else { return nil }
        var result = [UInt8](repeating: 0, count: count)
        return dep2p_quic_export(quic, label, label.utf8.count, &result, count) == 0 ? result : nil
    }
}
