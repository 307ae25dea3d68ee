internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PWire
internal import FoundationEssentials
internal import SwiftProtobuf

/// One port of the asker's address to be tried.
struct DialBackProbe: Equatable {
    /// 0: the port that the connection comes from.
    let port: UInt16
    /// Comes back as the transaction id of a STUN Binding indication.
    let nonce: STUNTransactionID
}

/// The messages of /dep2p/sys/autonat/1.0.0.
enum DialBackMessage {
    /// The longest frame taken, in bytes.
    static let limit = 256
    /// The most ports of one request.
    static let probeLimit = 4
    static let nonceLength = 12

    enum Status: Equatable {
        case sent
        case unable
        case limitReached
        case malformed
    }

    struct Report: Equatable {
        let status: Status
        /// The asker as the node asked sees it.
        let observed: SocketAddress?
    }

    static func encode(_ probes: [DialBackProbe]) throws -> [UInt8] {
        var message = Dep2p_Autonat_DialBack()
        message.probes = probes.map { probe in
            var item = Dep2p_Autonat_Probe()
            item.port = UInt32(probe.port)
            item.nonce = Data(probe.nonce.bytes)
            return item
        }
        return try message.serializedBytes()
    }

    /// `nil` for a malformed request, one without a port, or one with too many.
    static func probes(_ bytes: [UInt8]) -> [DialBackProbe]? {
        // Whoever reads it is told that it is malformed; there is no more to say.
        guard let message = try? Dep2p_Autonat_DialBack(serializedBytes: bytes),
            (1...probeLimit).contains(message.probes.count)
        else { return nil }
        var probes: [DialBackProbe] = []
        for item in message.probes {
            guard let port = UInt16(exactly: item.port), item.nonce.count == nonceLength else { return nil }
            var reader = NetworkOrderReader([UInt8](item.nonce))
            probes.append(
                DialBackProbe(port: port, nonce: STUNTransactionID(high: reader.uint32(), low: reader.uint64())))
        }
        return probes
    }

    static func encode(_ report: Report) throws -> [UInt8] {
        var message = Dep2p_Autonat_Report()
        message.status =
            switch report.status {
            case .sent: .sent
            case .unable: .unable
            case .limitReached: .limitReached
            case .malformed: .malformed
            }
        if let observed = report.observed {
            message.address = Data(observed.ip.bytes)
            message.port = UInt32(observed.port)
        }
        return try message.serializedBytes()
    }

    /// `nil` for a malformed report.
    static func report(_ bytes: [UInt8]) -> Report? {
        // Whoever reads it is told that it is malformed; there is no more to say.
        guard let message = try? Dep2p_Autonat_Report(serializedBytes: bytes) else { return nil }
        let status: Status
        switch message.status {
        case .sent: status = .sent
        case .unable: status = .unable
        case .limitReached: status = .limitReached
        case .malformed, .unspecified, .UNRECOGNIZED: status = .malformed
        }
        var observed: SocketAddress?
        if let ip = IPAddress(bytes: [UInt8](message.address)), let port = UInt16(exactly: message.port), port != 0 {
            observed = SocketAddress(ip, port: port)
        }
        return Report(status: status, observed: observed)
    }
}
