package import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PReactor

/// A node of a ``DHTWorld``: the DHT's machines, and what is under way.
package final class DHTWorldNode {
    /// How a node answers.
    package enum Conduct: String, Sendable, CaseIterable {
        case honest
        /// Names those it knows, takes records, and never tells of them.
        case withhold
        /// The same, and names its accomplices alone.
        case lie
        /// Names nodes that do not exist, all of them next to the key.
        case invent
    }

    let index: Int
    let contact: DHTContact
    let subnet: Subject
    let place: InternetRoundTrips.Place
    let isClient: Bool
    let conduct: Conduct
    let tokens: StoreTokens
    var table: RoutingTable
    var store: RecordStore
    var size = NetworkSize()
    var isUp = true
    var operations: [Int: DHTOperation] = [:]
    /// When the table is woken next.
    var wakesAt = NetworkInstant.distantFuture

    init(
        index: Int, contact: DHTContact, subnet: Subject, place: InternetRoundTrips.Place, isClient: Bool,
        conduct: Conduct,
        secret: [UInt8]
    ) {
        self.index = index
        self.contact = contact
        self.subnet = subnet
        self.place = place
        self.isClient = isClient
        self.conduct = conduct
        tokens = StoreTokens(secret: AuthenticationKey(secret))
        table = RoutingTable(localKey: contact.key)
        store = RecordStore(localKey: contact.key)
    }
}

/// Something that a node does with several requests.
final class DHTOperation {
    enum Goal {
        /// Of the routing table's own.
        case refresh
        /// The nodes nearest to a key.
        case find
        case get
        case put(MutableItem)
    }

    let number: Int
    let goal: Goal
    let startedAt: NetworkInstant
    var lookup: LookupMachine
    var store: StoreMachine?
    /// From when on there is a connection.
    var connections: [DHTKey: NetworkInstant] = [:]
    var tokens: [DHTKey: [UInt8]] = [:]
    var wakesAt = NetworkInstant.distantFuture
    var messages = 0
    var bytes = 0
    var completion: ((DHTOperationResult) -> Void)?

    init(number: Int, goal: Goal, lookup: LookupMachine, startedAt: NetworkInstant) {
        self.number = number
        self.goal = goal
        self.lookup = lookup
        self.startedAt = startedAt
    }
}

/// What came of it.
package struct DHTOperationResult: Sendable {
    package let elapsed: Duration
    /// Whether what was looked for is there, or stored with most.
    package let isSuccess: Bool
    package let requests: Int
    package let messages: Int
    package let bytes: Int
    package let rounds: Int
    package let closest: [DHTContact]
    /// Nodes that a record is stored with.
    package let stored: Int
}
