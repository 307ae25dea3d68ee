internal import DeP2PIdentity
internal import DeP2PReactor

/// Which questions are open, and by what their answers are known: pure. An answer counts once, with the number that was
/// drawn for its question, and from where that went.
struct KRPCTransactions: Sendable {
    /// Questions open at once.
    static let limit = 256
    /// Bytes of a number: who does not see the question guesses one of 2^48.
    static let length = 6
    /// How long an answer is waited for.
    static let lifetime = MainlineLookup.requestTimeout

    private struct Question: Sendable {
        let address: SocketAddress
        let lookup: Int
        let deadline: NetworkInstant
    }

    private var open: [[UInt8]: Question] = [:]

    var count: Int { open.count }

    /// - Returns: the question's number; `nil` where too many are open.
    mutating func begin(
        to address: SocketAddress, for lookup: Int, now: NetworkInstant, random: RandomSource
    ) -> [UInt8]? {
        if open.count >= Self.limit { open = open.filter { $0.value.deadline > now } }
        guard open.count < Self.limit else { return nil }
        let number = random.bytes(Self.length)
        guard open[number] == nil else { return nil }
        open[number] = Question(address: address, lookup: lookup, deadline: now.advanced(by: Self.lifetime))
        return number
    }

    /// Whether an answer is waited for from there.
    func isAsked(_ address: SocketAddress) -> Bool { open.values.contains { $0.address == address } }

    /// - Returns: whose question that answers.
    mutating func end(_ number: [UInt8], from address: SocketAddress, now: NetworkInstant) -> Int? {
        guard let question = open[number], question.address == address else { return nil }
        open[number] = nil
        return question.deadline > now ? question.lookup : nil
    }

    /// Nobody waits for that lookup's answers any more.
    mutating func forget(_ lookup: Int) { open = open.filter { $0.value.lookup != lookup } }
}
