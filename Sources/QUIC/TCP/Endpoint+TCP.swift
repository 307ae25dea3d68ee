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
        let context = try outerTLS()
        let leg = try TCPLeg(connectingTo: remote, context: context, clock: clock)
        add(leg)
        do {
            try await leg.waitOpen()
            let connection = try await connect(to: leg.remote, from: leg.local, expecting: expecting)
            connection.onClose.append { [weak leg] _ in leg?.close() }
            return connection
        } catch is CancellationError {
            leg.close()
            throw QUICError(.cancelled, "the dial was cancelled")
        } catch {
            leg.close()
            throw error
        }
    }

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

    private func add(_ leg: TCPLeg) {
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
