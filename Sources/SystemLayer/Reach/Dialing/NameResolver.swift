internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions
internal import Glibc

/// Turns names into addresses and texts, within a deadline.
@NetworkActor
struct NameResolver {
    /// Lookups under way at once in the process: each holds a thread until the system's resolver returns.
    static let lookupLimit = 8
    private static var lookups = 0

    private let clock: any NetworkClock
    private let deadline: Duration
    private let source: NameSource

    init(clock: any NetworkClock, deadline: Duration, source: NameSource) {
        self.clock = clock
        self.deadline = deadline
        self.source = source
    }

    init(clock: any NetworkClock, deadline: Duration, lookup: @escaping NameSource.Lookup) {
        self.init(clock: clock, deadline: deadline, source: NameSource(addresses: lookup, zone: NameSource.system.zone))
    }

    /// The interface that `zone` names.
    func interface(of zone: String) -> UInt32? { source.zone(zone) }

    /// The addresses of `name`, of one family or of both.
    ///
    /// - Throws: ``TransportFailure`` `nameUnknown`, or `resolverFailed` when that is not to be known.
    func addresses(of name: String, family: IPAddress.Family?) async throws -> [IPAddress] {
        try await answer { [lookup = source.addresses] in lookup(name, family) }
    }

    /// The text records of `name`; it throws as ``addresses(of:family:)`` does.
    func texts(of name: String) async throws -> [[UInt8]] {
        try await answer { [lookup = source.texts, deadline] in lookup(name, deadline) }
    }

    private func answer<Value: Sendable>(
        _ lookup: @escaping @Sendable () -> Result<Value, TransportFailure>
    ) async throws -> Value {
        guard Self.lookups < Self.lookupLimit else {
            throw TransportFailure(.resolverFailed, detail: "more than \(Self.lookupLimit) lookups at once")
        }
        // The system's resolver cannot be cancelled: the waiter leaves it behind at the deadline.
        let waiter = Waiter<Value>()
        let token = clock.schedule(after: deadline) {
            waiter.resume(throwing: TransportFailure(.resolverFailed, detail: "the resolver did not answer"))
        }
        defer { clock.cancel(token) }
        Self.lookups += 1
        networkTask {
            defer { Self.lookups -= 1 }
            do {
                waiter.resume(returning: try await offload { try lookup().get() })
            } catch {
                waiter.resume(throwing: error)
            }
        }
        return try await waiter.value()
    }

    /// EAI_NODATA and EAI_ADDRFAMILY of <netdb.h>, which needs _GNU_SOURCE for them: the name has no address, or none of
    /// this family.
    private nonisolated static let (noData, noFamily): (Int32, Int32) = (-5, -9)

    nonisolated static func systemLookup(_ name: String, _ family: IPAddress.Family?) -> Result<
        [IPAddress], TransportFailure
    > {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        hints.ai_family =
            switch family {
            case .v4: AF_INET
            case .v6: AF_INET6
            case nil: AF_UNSPEC
            }
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(name, nil, &hints, &list)
        guard status == 0 else {
            // That there is no such name is an answer; everything else is the want of one.
            let isAnswer = status == EAI_NONAME || status == Self.noData || status == Self.noFamily
            let detail = status == EAI_SYSTEM ? String(cString: strerror(errno)) : String(cString: gai_strerror(status))
            return .failure(TransportFailure(isAnswer ? .nameUnknown : .resolverFailed, detail: detail))
        }
        defer { freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var next = list
        while let entry = next {
            if let address = IPAddress(entry.pointee.ai_addr), !addresses.contains(address) {
                addresses.append(address)
            }
            next = entry.pointee.ai_next
        }
        return .success(addresses)
    }
}

extension IPAddress {
    /// The address inside a socket address of either family.
    init?(_ address: UnsafePointer<sockaddr>?) {
        guard let address else { return nil }
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            let bits = raw.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr
            self.init(v4: UInt32(bigEndian: bits))
        case AF_INET6:
            let address = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
            self.init(bytes: withUnsafeBytes(of: address) { Array($0) })
        default: return nil
        }
    }
}
