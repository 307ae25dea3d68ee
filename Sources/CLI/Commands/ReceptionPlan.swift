import DeP2P

/// What a node takes of what others send, and where it puts it: all of `listen`, and `start` with a folder.
struct ReceptionPlan: Equatable, Sendable {
    enum Destination: Equatable, Sendable {
        /// Messages only.
        case nowhere
        case directory([UInt8])
        /// To a terminal only when the user named it with `-`.
        case standardOutput(named: Bool)
    }

    let destination: Destination
    let once: Bool
    let maximumBytes: UInt64?
    /// How many transfers at once; nil: as the preset says.
    let transfers: Int?
    let reply: [UInt8]?

    init(_ options: ResolvedOptions, to destination: Destination, once: Bool = false) throws(CLIError) {
        self.destination = destination
        self.once = once
        maximumBytes = try options.value(.receptionMaxSize, as: ArgumentValue.size)
        transfers = try options.value(.receptionTransfers, as: ArgumentValue.count)
        reply = options.path(.receptionReply)
    }

    /// Opens where files go; nil where none are taken.
    func open() throws(CLIError) -> TransferReceiver.Destination? {
        switch destination {
        case .nowhere: return nil
        case .standardOutput: return .descriptor(StandardStream.output.rawValue)
        case .directory(let path):
            do {
                return .folder(try ReceiveFolder(path: path))
            } catch {
                throw CLIError(.cannotCreate, "can't open the folder \(TerminalText.escape(error.message))")
            }
        }
    }

    /// The line that sends something to `node`.
    @NetworkActor
    func sendLine(to node: Node, _ plan: NodePlan) -> String {
        let addresses = node.addresses
        let address = addresses.first?.description ?? node.nodeID.description
        // One line carries every way in: the relayed ones stand beside the direct one.
        let relayed = addresses.dropFirst().filter(\.isRelayed).map { " --peer " + ShellQuoting.word($0.description) }
        let key: String
        if case .file(let path) = plan.realmKey { key = TerminalText.escape(path) } else { key = "realm.key" }
        let what = destination == .nowhere ? "-m TEXT" : "FILE..."
        let words = [key, address].map(ShellQuoting.word)
        return "\(Release.program) send --realm-key \(words[0]) --to \(words[1])\(relayed.joined()) \(what)"
    }
}

extension ResolvedOptions {
    /// From whom the node takes anything.
    var access: AccessPolicy {
        get throws(CLIError) {
            let allowed = Set(try values(.receptionAllow, as: names.nodeID))
            return allowed.isEmpty ? .members : .only(allowed)
        }
    }
}
