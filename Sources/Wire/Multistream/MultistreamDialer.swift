/// The side of multistream-select that opened the stream.
///
/// States: `header` (the listener's header is due) → `proposed` (an answer to the current proposal is due) → `settled`.
/// Calling order: send ``firstFlight`` (with the first data behind it when there is one protocol only), then feed
/// ``receive(_:)`` until it settles.
package struct MultistreamDialer: Sendable {
    private enum State {
        case header
        case proposed
        case settled
    }

    package enum OnBytes: Equatable, Sendable {
        case needMore
        /// Send these bytes: the next proposal.
        case propose([UInt8])
        /// Agreed; `leftover` already belongs to the protocol.
        case selected(String, leftover: [UInt8])
        case failed(MultistreamError)
    }

    private let protocols: [String]
    private var index = 0
    private var state = State.header
    private var lines = MultistreamLines()

    /// - Parameter protocols: in order of preference; those past ``Multistream/attemptLimit`` are not proposed.
    package init(_ protocols: [String]) {
        self.protocols = Array(protocols.prefix(Multistream.attemptLimit))
    }

    /// The header and the first proposal.
    package var firstFlight: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(64)
        Multistream.appendLine(Multistream.header, to: &bytes)
        if let first = protocols.first { Multistream.appendLine(first, to: &bytes) }
        return bytes
    }

    package mutating func receive(_ bytes: [UInt8]) -> OnBytes {
        lines.append(bytes)
        do throws(MultistreamError) {
            while let line = try lines.next() {
                if let action = try handle(line) { return action }
            }
            return .needMore
        } catch {
            state = .settled
            return .failed(error)
        }
    }

    private mutating func handle(_ line: String) throws(MultistreamError) -> OnBytes? {
        switch state {
        case .header:
            guard line == Multistream.header else { throw MultistreamError(.malformed) }
            state = .proposed
            return nil
        case .proposed where index < protocols.count && line == protocols[index]:
            state = .settled
            return .selected(line, leftover: lines.takeRemaining())
        case .proposed where line == Multistream.notAvailable:
            index += 1
            guard index < protocols.count else { throw MultistreamError(.notAvailable, protocols: protocols) }
            return .propose(Multistream.line(protocols[index]))
        case .proposed, .settled:
            throw MultistreamError(.malformed)
        }
    }
}
