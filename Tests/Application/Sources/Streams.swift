import DeP2P

/// Streams of an application's own: an echo, with backpressure, errors and cancellation.
extension Application {
    static func streams(_ sender: Node, _ receiver: Node) async throws {
        let target = DialTarget(await receiver.addresses[0])
        let incoming = try await receiver.acceptStreams("echo")
        let serving = Task {
            for await stream in incoming {
                Task {
                    for try await bytes in stream { try await stream.write(bytes) }
                    await stream.finish()
                }
            }
        }
        try await echo(to: target, from: sender)
        try await errors(to: target, from: sender)

        // Nobody answers: who waits can be cancelled, and lets go of the stream with that.
        let waiting = Task { () async throws(DeP2PError) -> [UInt8]? in
            try await sender.openStream("echo", to: target).read()
        }
        waiting.cancel()
        do {
            _ = try await waiting.value
            throw Failure(what: "a task that is cancelled ends")
        } catch let error as DeP2PError {
            try check(error.code == .cancelled, "a task that is cancelled says so: \(error.code)")
        }
        await incoming.cancel()
        await serving.value
    }

    private static func echo(to target: DialTarget, from node: Node) async throws {
        let stream = try await node.openStream("echo", to: target)
        let sent = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 / 251) }
        let writing = Task {
            try await stream.write(sent)
            await stream.finish()
        }
        let echoed = try await stream.readAll(limit: sent.count)
        try await writing.value
        try check(echoed == sent && stream.peer == target.nodeID, "what is sent comes back")
    }

    private static func errors(to target: DialTarget, from node: Node) async throws {
        let unknown = try await node.openStream("nobody-takes-these", to: target)
        do {
            _ = try await unknown.read()
            throw Failure(what: "a name that nobody accepts is said")
        } catch let error as DeP2PError {
            try check(error.code == .unsupported, "a name that nobody accepts is said: \(error.code)")
        }
    }

    /// What one side gives up with arrives at the other.
    static func resets(_ sender: Node, _ receiver: Node) async throws {
        let incoming = try await receiver.acceptStreams("picky")
        let refusing = Task {
            for await stream in incoming { await stream.reset(42) }
        }
        let stream = try await sender.openStream("picky", to: DialTarget(receiver.nodeID))
        do {
            try await stream.write("hello")
            for try await _ in stream {}
            throw Failure(what: "a stream that is given up is no stream that has ended")
        } catch let error as DeP2PError {
            let reset = error.underlying as? StreamReset
            try check(error.code == .streamReset && reset?.code == 42, "a reset tells its code: \(error)")
        }
        await incoming.cancel()
        await refusing.value
    }
}
