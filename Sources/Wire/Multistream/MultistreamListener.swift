/// The side of multistream-select that the stream was opened to.
///
/// States: `header` → `proposals` (waiting for one, or for the verdict on one) → `settled`.
/// Calling order: ``receive(_:)`` what arrived, ``next()`` until `needMore`; answer a `proposal` with ``accept()`` or
/// ``refuse()`` before asking for the next; send ``takeOutput()`` whenever it is not empty.
package struct MultistreamListener: Sendable {
    private enum State {
        case header
        case proposals(count: Int)
        case settled
    }

    package enum OnNext: Equatable, Sendable {
        case needMore
        case proposal(String)
        case failed(MultistreamError)
    }

    private var state = State.header
    private var lines = MultistreamLines()
    private var output: [UInt8] = []
    private var proposal: String?

    package init() {}

    package mutating func receive(_ bytes: [UInt8]) { lines.append(bytes) }

    package mutating func next() -> OnNext {
        do throws(MultistreamError) {
            while true {
                if case .header = state {
                    guard try lines.nextIsHeader() else { return .needMore }
                    output.append(contentsOf: Multistream.headerLine)
                    state = .proposals(count: 0)
                }
                guard let line = try lines.next() else { return .needMore }
                switch state {
                case .proposals(let count):
                    guard count < Multistream.attemptLimit else { throw MultistreamError(.tooManyAttempts) }
                    state = .proposals(count: count + 1)
                    proposal = line
                    return .proposal(line)
                case .header, .settled:
                    throw MultistreamError(.malformed)
                }
            }
        } catch {
            state = .settled
            return .failed(error)
        }
    }

    /// Agrees to the proposal; returns the bytes that already belong to the protocol.
    package mutating func accept() -> [UInt8] {
        guard let proposal else { return [] }
        Multistream.appendLine(proposal, to: &output)
        self.proposal = nil
        state = .settled
        return lines.takeRemaining()
    }

    /// Answers that the proposal is not spoken here. The specification's `ls` is answered so too: a list of protocols
    /// would tell a stranger what this node does.
    package mutating func refuse() {
        proposal = nil
        Multistream.appendLine(Multistream.notAvailable, to: &output)
    }

    /// What is to be sent now.
    package mutating func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }
}
