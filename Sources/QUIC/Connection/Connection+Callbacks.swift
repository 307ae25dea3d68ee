internal import CDeP2PQUICShim
internal import DeP2PReactor
internal import DequeModule

/// The connection behind a callback's `user` pointer.
///
/// Proof: the pointer is `passUnretained(self)` of a connection that owns the ngtcp2 object which calls back, only
/// ever from within a call that this connection made on the network thread.
private func with<Result: Sendable>(
    _ user: UnsafeMutableRawPointer?, _ body: @NetworkActor (Connection) -> Result
) -> Result {
    let connection = connection(user)
    return NetworkActor.assumeIsolated { body(connection) }
}

/// The same for what comes with every packet: the body captures nothing but gets `arguments`.
private func with<Arguments, Result: Sendable>(
    _ user: UnsafeMutableRawPointer?, _ arguments: Arguments,
    _ body: @escaping @NetworkActor (Connection, Arguments) -> Result
) -> Result {
    NetworkActor.assumeIsolated(connection(user), arguments, body)
}

private func connection(_ user: UnsafeMutableRawPointer?) -> Connection {
    guard let user else { preconditionFailure("ngtcp2 calls back with the pointer it was given") }
    return Unmanaged<Connection>.fromOpaque(user).takeUnretainedValue()
}

extension Connection {
    /// Of no actor by themselves: `with` asks for the thread, once. What ngtcp2 points at is handed on unchecked: it is
    /// used on this thread, before the callback returns.
    nonisolated static var callbacks: dep2p_quic_callbacks {
        dep2p_quic_callbacks(
            stream_data: { user, id, isLast, data, length in
                // ngtcp2 keeps the bytes until the callback returns, and `with` runs its body on this thread before that.
                with(user, (id, isLast != 0, UnsafeRawBufferPointer(start: data, count: length))) { connection, came in
                    let (id, isLast, bytes) = came
                    if let stream = connection.streams[id] {
                        stream.received(bytes, isLast: isLast)
                    } else if id & 2 != 0 {
                        connection.receivedGreeting(bytes)
                    }
                }
                return 0
            },
            stream_acknowledged: { user, id, end in
                with(user, (id, end)) { connection, acknowledged in
                    let (id, end) = acknowledged
                    connection.acknowledgements &+= 1
                    connection.endpoint.ledger?.acknowledged(upTo: end, stream: id, of: connection)
                    connection.streams[id]?.acknowledged(upTo: end)
                }
            },
            stream_opened: { user, id in
                // RFC 9000 2.1: of one direction, so the greeting's, which is no application's.
                if id & 2 == 0 { with(user, id) { $0.opened($1) } }
                return 0
            },
            stream_closed: { user, id, code in
                with(user, (id, code)) { connection, closed in
                    let (id, code) = closed
                    connection.endpoint.ledger?.closed(stream: id, of: connection)
                    if let stream = connection.streams.removeValue(forKey: id) {
                        connection.settle(stream)
                        stream.closedByTransport(code)
                    }
                    connection.onStreamEnd?()
                }
            },
            stream_reset: { user, id, code in with(user) { $0.streams[id]?.peerReset(code) } },
            stream_credit: { user, id in
                with(user) { connection in
                    guard let stream = connection.streams[id], stream.sending.hasWork else { return }
                    connection.enqueue(stream)
                }
            },
            streams_credit: { user in with(user) { $0.streamCreditGrew() } },
            handshake_completed: { user in with(user) { $0.state = .established } },
            handshake_confirmed: { user in with(user) { $0.isConfirmed = true } },
            new_cid: { user, cid, token in
                // Proof: both are ngtcp2's to be filled before the callback returns, which `with` does on this thread.
                nonisolated(unsafe) let (cid, token) = (cid, token)
                return with(user) { $0.makeConnectionID(cid, token) }
            },
            retire_cid: { user, cid in
                guard let cid = cid?.pointee else { return }
                with(user) { $0.retire(ConnectionID(cid)) }
            },
            path_validated: { user, local, remote, succeeded in
                guard let local = local?.pointee, let remote = remote?.pointee else { return }
                with(user) {
                    $0.pathValidated(
                        local: SocketAddress(local), remote: SocketAddress(remote), succeeded: succeeded != 0)
                }
            },
            verify_peer: { user, der, length, count in
                let bytes = Array(UnsafeBufferPointer(start: der, count: length))
                return with(user) { $0.verifyPeer(bytes, certificates: Int(count)) ? 0 : 1 }
            },
            stateless_reset: { user in with(user) { $0.wasReset = true } },
            reset_token: { user, token, isActive in
                guard let token else { return }
                let key = ResetToken(token)
                with(user) { $0.usesResetToken(key, isActive != 0) }
            })
    }

    fileprivate func opened(_ id: Int64) {
        let stream = QUICStream(id: id, connection: self)
        streams[id] = stream
        openedStreams.append(stream)
        countedStreams += 1
    }

    fileprivate func streamCreditGrew() {
        while let waiter = streamCreditWaiters.popFirst() { waiter.resume(returning: ()) }
    }

    fileprivate func makeConnectionID(
        _ cid: UnsafeMutablePointer<dep2p_cid>?, _ token: UnsafeMutablePointer<UInt8>?
    ) -> Int32 {
        guard let cid, let token else { return -1 }
        cid.pointee = ConnectionID.random(length: Int(cid.pointee.length), from: endpoint.random)
        // ngtcp2 wants all bytes of a token at `token`, and there are as many.
        for (index, byte) in endpoint.resetToken(for: cid.pointee).enumerated() { token[index] = byte }
        let id = ConnectionID(cid.pointee)
        connectionIDs.insert(id)
        endpoint.route(id, to: self)
        return 0
    }

    fileprivate func retire(_ id: ConnectionID) {
        connectionIDs.remove(id)
        endpoint.unroute(id)
        retiredIDs.append(id)
        endpoint.setRetired(id, true)
        if retiredIDs.count > Self.retiredLimit { endpoint.setRetired(retiredIDs.removeFirst(), false) }
    }

    fileprivate func usesResetToken(_ token: ResetToken, _ isActive: Bool) {
        if isActive { resetTokens.insert(token) } else { resetTokens.remove(token) }
        endpoint.setReset(token, of: isActive ? self : nil)
    }

    fileprivate func verifyPeer(_ der: [UInt8], certificates: Int) -> Bool {
        do throws(CertificateError) {
            guard certificates == 1 else { throw .chain(certificates) }
            let now = endpoint.wallClockSeconds()
            let nodeID = try endpoint.certificates.certificate(der: der, now: now).nodeID
            if let expectedNodeID, expectedNodeID != nodeID {
                throw .wrongPeer(expected: expectedNodeID, actual: nodeID)
            }
            provenNodeID = nodeID
            return true
        } catch {
            certificateError = error
            return false
        }
    }
}
