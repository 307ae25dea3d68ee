/// What a relay allows. Every number that a client can push against is here; 0 allows none.
public struct RelayLimits: Hashable, Sendable {
    /// Nodes that may hold a reservation at once: in total, from one IP address, from one /24 or /48.
    public var reservations = 1_024
    public var reservationsPerAddress = 32
    public var reservationsPerSubnet = 128
    /// How long a reservation stands; clients renew earlier.
    public var reservationTime = Duration.seconds(30 * 60)
    /// Circuits open at once: in total, made by one node and to one node, made from one IP address, from one /24 or /48. Of
    /// those to one node only such count as are not yet confirmed, or carry more than what keeps them warm.
    public var circuits = 1_024
    public var circuitsPerNode = 32
    /// Made by one node to one other, which may run in several processes.
    public var circuitsPerPair = 8
    public var circuitsPerAddress = 128
    public var circuitsPerSubnet = 512
    /// Bytes that one circuit carries, both directions together; `nil` is no limit.
    public var circuitBytes: UInt64? = 16 * 1024 * 1024 * 1024
    /// Bytes a second that one circuit carries, both directions together; more is dropped. `nil` is no limit.
    public var circuitRate: UInt64? = 64 * 1024 * 1024
    /// How long one circuit lives; `nil` is no limit.
    public var circuitTime: Duration? = .seconds(24 * 60 * 60)
    /// Requests of one node in any minute.
    public var requestsPerMinute = 120
    /// How long a target may take to answer.
    public var answerDeadline = Duration.seconds(5)

    public init() {}

    /// Of a node that relays for its realm beside what else it does: less of everything.
    public static let ofRealm: Self = {
        var limits = Self()
        (limits.reservations, limits.circuits) = (512, 256)
        (limits.circuitBytes, limits.circuitRate) = (4 * 1024 * 1024 * 1024, 16 * 1024 * 1024)
        return limits
    }()

    /// What a client is told.
    var terms: RelayTerms {
        RelayTerms(bytes: circuitBytes, bytesPerSecond: circuitRate, time: circuitTime, circuits: circuitsPerNode)
    }
}

/// What a relay grants to one node: shown to the user before anything is sent.
package struct RelayTerms: Hashable, Sendable, CustomStringConvertible {
    /// What one circuit carries, both directions together; `nil` is no limit.
    package let bytes: UInt64?
    package let bytesPerSecond: UInt64?
    /// How long one circuit lives.
    package let time: Duration?
    /// Circuits at once; `nil` is no limit.
    package let circuits: Int?

    package init(bytes: UInt64? = nil, bytesPerSecond: UInt64? = nil, time: Duration? = nil, circuits: Int? = nil) {
        self.bytes = bytes
        self.bytesPerSecond = bytesPerSecond
        self.time = time
        self.circuits = circuits
    }

    package var description: String {
        let parts = [
            bytes.map { "\($0) bytes" }, bytesPerSecond.map { "\($0) bytes a second" }, time.map { "\($0)" },
            circuits.map { "\($0) circuits" },
        ].compactMap(\.self)
        return parts.isEmpty ? "no limits" : parts.joined(separator: ", ")
    }
}

extension RelayLimits {
    /// The names of limits as a refusal or an end carries them.
    package enum Name {
        package static let reservations = "reservations"
        package static let reservationsPerAddress = "reservations-per-ip"
        package static let reservationsPerSubnet = "reservations-per-subnet"
        package static let circuits = "circuits"
        package static let circuitsPerNode = "circuits-per-node"
        package static let circuitsPerPair = "circuits-per-pair"
        package static let circuitsPerAddress = "circuits-per-ip"
        package static let circuitsPerSubnet = "circuits-per-subnet"
        package static let circuitBytes = "bytes-per-circuit"
        package static let circuitTime = "seconds-per-circuit"
        package static let requests = "requests-per-minute"

        package static let all = [
            reservations, reservationsPerAddress, reservationsPerSubnet, circuits, circuitsPerNode, circuitsPerPair,
            circuitsPerAddress, circuitsPerSubnet, circuitBytes, circuitTime, requests,
        ]
    }
}
