import DeP2PIdentity

/// The codecs that run for every frame, address or byte: nanoseconds an operation, or MiB/s.
func codecReport() -> Report {
    var report = Report()
    report.add("mode", "codecs")
    report.add("codecs", list: [hashing(), leaves()] + smallCodecs())
    return report
}

/// Something the optimiser cannot prove unused.
@inline(never)
private func consume<Value>(_ value: Value) { withExtendedLifetime(value) {} }

/// Best of five: what the code costs when nothing else runs in between.
private func nanoseconds(rounds: Int, _ body: () -> Void) -> Double {
    let runs = (0..<5).map { _ in
        let started = ContinuousClock.now
        for _ in 0..<rounds { body() }
        return seconds(.now - started)
    }
    return (runs.min() ?? 0) / Double(rounds) * 1e9
}

private func line(_ what: String, _ value: Double, _ unit: String) -> Report {
    var report = Report()
    report.add("what", what)
    report.add("value", value)
    report.add("unit", unit)
    return report
}

private func throughput(_ what: String, bytes: Int, rounds: Int, _ body: () -> Void) -> Report {
    line(what, Double(bytes) / 1_048_576 / (nanoseconds(rounds: rounds, body) / 1e9), "MiB/s")
}

private func hashing() -> Report {
    let block = [UInt8](repeating: 0x5A, count: 16_384)
    return throughput("SHA-256, 16 KiB", bytes: block.count, rounds: 2_000) { consume(SHA256.hash(block)) }
}

/// The tree of BEP 52 over 4 MiB: 256 leaves of 16 KiB and the nodes above them.
private func leaves() -> Report {
    let piece = [UInt8](repeating: 0x5A, count: 16_384)
    return throughput("Merkle tree of 4 MiB", bytes: 4_194_304, rounds: 8) {
        var level = (0..<256).map { _ in SHA256.hash(piece) }
        while level.count > 1 {
            level = stride(from: 0, to: level.count, by: 2).map { SHA256.hash(level[$0], level[$0 + 1]) }
        }
        consume(level)
    }
}

private func smallCodecs() -> [Report] {
    let nodeID = IdentityKey.generate().nodeID
    let text = nodeID.description
    let address = Address.quic(IPAddress(v4: 0xC000_0201), port: 4_001, nodeID: nodeID)
    let (addressText, addressBytes) = (address.description, address.bytes)
    let varint = Varint.encode(1 << 40)
    let key = IdentityKey.generate()
    let record = (try? PeerRecord(nodeID: key.nodeID, seq: 1, addresses: [address]).sealed(by: key)) ?? []
    return [
        line("varint, decode 6 bytes", nanoseconds(rounds: 100_000) { consume(Varint.decode(varint)) }, "ns"),
        line("base58, encode a NodeID", nanoseconds(rounds: 2_000) { consume(Base58.encode(nodeID.bytes)) }, "ns"),
        line("base58, decode a NodeID", nanoseconds(rounds: 2_000) { consume(Base58.decode(text)) }, "ns"),
        line("multiaddr, parse text", nanoseconds(rounds: 2_000) { consume(try? Address(addressText)) }, "ns"),
        line("multiaddr, parse bytes", nanoseconds(rounds: 5_000) { consume(try? Address(bytes: addressBytes)) }, "ns"),
        line("signed peer record, open", nanoseconds(rounds: 500) { consume(try? PeerRecord.open(record)) }, "ns"),
    ]
}
