package import DeP2PIdentity
package import DeP2PReactor

/// QUIC inside TLS over TCP, where UDP does not pass.
extension Endpoint {
    /// Takes connections over `listener` too; it closes with the endpoint.
    package func accept(from listener: TCPListener) {
        tcpListeners.append(listener)
        listener.start { [weak self] leg in
            guard let self, !isClosed else { return leg.close() }
            add(leg)
        }
    }

    /// Dials `remote` over TCP, and QUIC inside it.
    ///
    /// - Throws: ``QUICError``; `.refused`, `.unreachable` and `.timeout` of the TCP connection too.
    package func connect(tcp remote: SocketAddress, expecting: NodeID?) async throws -> Connection {
        guard !isClosed else { throw QUICError(.endpointClosed, "this node has stopped") }
        return try await TCPDial(to: remote, expecting: expecting, from: self, context: try outerTLS()).run()
    }

    /// A connection over TCP to that host is dead, and has not ended: a hop may have become narrow. The next dial there tries the
    /// smallest segments at once, beside the usual ones.
    package func suspectNarrowHop(to host: IPAddress) { narrowHosts.suspect(host, now: clock.now) }

    private func outerTLS() throws(QUICError) -> TLSContext {
        if let tcpContext { return tcpContext }
        do throws(SocketError) {
            let made = try TLSContext.client()
            tcpContext = made
            return made
        } catch {
            throw QUICError(error)
        }
    }

    func add(_ leg: TCPLeg) {
        addLeg(leg, local: leg.local)
        leg.onClose = { [weak self] leg in self?.removeLeg(local: leg.local) }
        leg.start(self)
    }

    /// The TCP connection that datagrams from `local` run over.
    func tcpLeg(from local: SocketAddress) -> TCPLeg? { leg(at: local.ip) as? TCPLeg }
}

extension Connection {
    /// Ends with the path below it: nothing reaches the peer any more.
    func lostPath(_ reason: String) { finish(CloseReason(.reset, reason: reason)) }
}
