internal import DeP2PReactor

/// When what connections have to send goes out: once for all that a turn of the network thread brings about, or sooner.
extension Endpoint {
    func needsFlush(_ connection: Connection) {
        dirty.append(connection)
        guard !flushScheduled else { return }
        flushScheduled = true
        NetworkActor.beforeWaiting { [weak self] in
            self?.flushScheduled = false
            self?.flush()
        }
    }

    /// Sends what is there to send before other tasks run that are ready.
    func hasten() {
        NetworkActor.afterThisTask { [weak self] in self?.flush() }
    }

    /// A connection that failed while it was writing is ended once the flush is over.
    func failAfterFlush(_ connection: Connection) { failed.append(connection) }

    private func flush() {
        let connections = dirty
        dirty.removeAll(keepingCapacity: true)
        for connection in connections { connection.flush() }
        let broken = failed
        failed.removeAll()
        for connection in broken { connection.fail() }
    }
}
