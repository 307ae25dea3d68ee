import DeP2P

/// One run of `publish`: what was published, and who has it.
@NetworkActor
final class Publishing {
    private let plan: PublishPlan
    private let run: NodeRun
    private var ids: [String] = []
    private var count = 0
    private var peers = 0

    init(_ plan: PublishPlan, _ run: NodeRun) { (self.plan, self.run) = (plan, run) }

    var fields: [JSONField] {
        [
            .int("messages", count), JSONField("message_ids", .array(ids.map(JSONValue.string))), .int("peers", peers),
        ]
    }

    func publish(on node: Node) async throws {
        let input = InputLines(limit: Node.publicationLimit)
        switch plan.payload {
        case .text(let body): try await publish(body, on: node)
        case .standardInput: try await publish(try await input.all(), on: node)
        case .lines:
            while let line = try await input.next() { try await publish(line, on: node) }
        }
        guard count > 0 else { return }
        peers = try await node.finishPublishing(timeout: plan.node.timeout)
        guard peers > 0 else {
            throw CLIError(
                .nobodyListens, "nobody has taken what was published",
                hint: "is a subscriber still there?", fields: fields)
        }
        let messages = count == 1 ? "the message" : "\(count) messages"
        run.context.output.note("published \(messages) to \(peers) member\(peers == 1 ? "" : "s")")
    }

    private func publish(_ body: [UInt8], on node: Node) async throws {
        do {
            let publication = try await node.publish(
                body, to: plan.topic, waitingFor: plan.peers, timeout: plan.node.timeout)
            count += 1
            if ids.count < PublishPlan.toldIDs { ids.append(publication.id) }
        } catch {
            let failure = CLIError(error)
            throw CLIError(
                failure.code, failure.message,
                hint: failure.code == .nobodyListens
                    ? "run dep2p subscribe there, or wait longer with --timeout" : failure.hint,
                details: failure.details, fields: fields)
        }
    }
}
