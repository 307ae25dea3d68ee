internal import DeP2PReactor

/// Clients by subject and by subnet, members and strangers apart: neither fills the other's quota.
struct ClientCounts {
    private var members = SubjectCounts()
    private var strangers = SubjectCounts()

    func count(_ client: RelayMachine.Client) -> Int { self[client].count(client.subject) }
    func subnetCount(_ client: RelayMachine.Client) -> Int { self[client].subnetCount(client.subject) }

    mutating func add(_ client: RelayMachine.Client) { self[client].add(client.subject) }
    mutating func remove(_ client: RelayMachine.Client) { self[client].remove(client.subject) }

    private subscript(client: RelayMachine.Client) -> SubjectCounts {
        get { client.isMember ? members : strangers }
        _modify {
            if client.isMember { yield &members } else { yield &strangers }
        }
    }
}
