internal import DeP2PIdentity
internal import DeP2PReactor

/// Whether TCP leads somewhere where UDP does not, and whether it is the server that answers there.
///
/// Nothing is contacted but the hosts that were named as observers.
package enum TCPProbe {
    /// What one connection saw.
    package enum Outcome: Equatable, Sendable {
        /// No connection: refused, or nothing came back.
        case failed
        /// A connection, and the first bytes of what came over it.
        case connected([UInt8])
    }

    /// Ports tried at an observer's address beside its own and those of TCP legs: web ports, which networks that block
    /// UDP let through.
    static let webPorts: [UInt16] = [443, 80]
    /// For a connection, and again for an answer.
    static let patience = Duration.milliseconds(1500)
    /// Connections at once.
    static let limit = 16
    static let answerLength = 512
    /// Plain HTTP, which a relay's TLS closes the connection on and a captive portal answers with a page.
    static let request = Array("GET / HTTP/1.0\r\n\r\n".utf8)

    /// Where to look for the observers over TCP, best first.
    static func targets(_ observers: NATObservers) -> [SocketAddress] {
        var targets = observers.tcp
        for address in observers.udp {
            for port in [address.port] + webPorts {
                let target = SocketAddress(address.ip, port: port, scope: address.scope)
                if !targets.contains(target) { targets.append(target) }
            }
        }
        return Array(targets.prefix(limit))
    }

    /// Fills in what TCP tells, for a report that UDP left open.
    ///
    /// - Throws: `CancellationError`.
    @NetworkActor
    package static func complete(_ report: inout NATReport, _ observers: NATObservers) async throws {
        if report.observers > 0 { report.captivePortal = false }
        let targets = report.observers > 0 ? observers.tcp : targets(observers)
        guard !targets.isEmpty else { return }
        let outcomes = try await withThrowingTaskGroup(of: (SocketAddress, Outcome).self) { group in
            for target in targets {
                group.addTask(executorPreference: NetworkActor.taskExecutor) { (target, try await connect(target)) }
            }
            var outcomes: [SocketAddress: Outcome] = [:]
            for try await (target, outcome) in group { outcomes[target] = outcome }
            return outcomes
        }
        conclude(&report, outcomes)
    }

    static func conclude(_ report: inout NATReport, _ outcomes: [SocketAddress: Outcome]) {
        let answers = outcomes.compactMap { address, outcome -> (SocketAddress, [UInt8])? in
            if case .connected(let bytes) = outcome { (address, bytes) } else { nil }
        }
        report.tcp = answers.isEmpty ? (outcomes.isEmpty ? nil : false) : true
        guard report.observers == 0 else { return }
        // A connection that is closed, or answered by TLS, may be the server's or a portal's.
        if answers.contains(where: { isPortal($1, at: $0) }) { report.captivePortal = true }
    }

    /// A web page in the place of a relay's TLS, a redirection to another host, or status 511 (RFC 6585 section 6).
    static func isPortal(_ answer: [UInt8], at address: SocketAddress) -> Bool {
        let text = String(decoding: answer, as: UTF8.self)
        let words = text.split(whereSeparator: \.isWhitespace).prefix(2)
        guard let first = words.first, first.hasPrefix("HTTP/"), let status = words.last.flatMap({ Int($0) }) else {
            return false
        }
        if status == 511 || !webPorts.contains(address.port) { return true }
        // HTTP on the TLS port: a server that has a web page there says 400 by itself.
        guard (300..<400).contains(status), let location = location(in: text) else { return false }
        let authority = location.split(separator: "/", omittingEmptySubsequences: false).dropFirst(2).first
        // A name may be the server's own; an address is either its own or another's.
        let host = authority?.split(separator: ":").first.flatMap { IPAddress(String($0)) }
        return host.map { $0 != address.ip } ?? false
    }

    /// The value of the header `Location`.
    private static func location(in text: String) -> Substring? {
        text.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix("location:") }?
            .drop { $0 != ":" }.dropFirst().drop { $0 == " " }
    }

    /// One connection, at most ``patience`` for it and again for an answer.
    ///
    /// - Throws: `CancellationError`.
    @NetworkActor
    private static func connect(_ target: SocketAddress) async throws -> Outcome {
        let clock = SystemNetworkClock.shared
        let socket = await traced(awaiting: "a connection over TCP to check the network with") {
            try await clock.withDeadline(patience) { try await StreamSocket.connect(to: target) }
        }
        defer { socket?.close() }
        // No answer is an outcome, and told as one.
        let answer = try? await clock.withDeadline(patience) { () async throws -> [UInt8]? in
            try await socket?.write(request)
            return try await socket?.read(upTo: answerLength)
        }
        try Task.checkCancellation()
        return socket == nil ? .failed : .connected(answer ?? [])
    }
}
