import DeP2P

/// Reads the values of options and operands. Every function throws ``CLIError`` whose message starts with what is wrong
/// and quotes the value; the caller says which option it was.
enum ArgumentValue {
    /// Longer waits than this mean `0`, for ever; the bound keeps sums of durations far from overflow.
    static let longestDuration = Duration.seconds(366 * 24 * 3600)

    /// `500ms`, `30s`, `5m`, `2h`.
    static func duration(_ argument: Argument) throws(CLIError) -> Duration {
        let units: [(String, Int64)] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)]
        guard let (number, unit) = numberAndUnit(argument), let factor = units.first(where: { $0.0 == unit })?.1 else {
            throw CLIError(
                .badValue, "not a duration: \(argument.quoted)", hint: "write a number with ms, s, m or h, as in 30s")
        }
        let (millis, overflow) = number.multipliedReportingOverflow(by: factor)
        guard !overflow, .milliseconds(millis) <= longestDuration else {
            throw CLIError(.badValue, "a duration over a year: \(argument.quoted)")
        }
        return .milliseconds(millis)
    }

    /// A duration, or nil for `0`: for ever.
    static func timeout(_ argument: Argument) throws(CLIError) -> Duration? {
        if argument.text == "0" { return nil }
        let value = try duration(argument)
        return value == .zero ? nil : value
    }

    /// A time between repetitions, at least a millisecond.
    static func interval(_ argument: Argument) throws(CLIError) -> Duration {
        let value = try duration(argument)
        guard value > .zero else { throw CLIError(.badValue, "an interval of nothing: \(argument.quoted)") }
        return value
    }

    /// Bytes: `1048576`, `64KiB`, `10MiB`, `2GB`. The units KiB, MiB, GiB, TiB count in 1024s; kB, MB, GB, TB in 1000s.
    static func size(_ argument: Argument) throws(CLIError) -> UInt64 {
        let units: [(String, UInt64)] = [
            ("", 1), ("B", 1), ("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
            ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40),
        ]
        guard let (number, unit) = numberAndUnit(argument), let factor = units.first(where: { $0.0 == unit })?.1 else {
            throw CLIError(
                .badValue, "not a size: \(argument.quoted)", hint: "write a number of bytes, or with a unit as in 10MiB"
            )
        }
        let (bytes, overflow) = UInt64(number).multipliedReportingOverflow(by: factor)
        guard !overflow, bytes <= UInt64(Int64.max) else {
            throw CLIError(.badValue, "a size over 2^63: \(argument.quoted)")
        }
        return bytes
    }

    /// A number from 1 to 2^31 - 1.
    static func count(_ argument: Argument) throws(CLIError) -> Int {
        guard let (number, unit) = numberAndUnit(argument), unit.isEmpty, (1...Int64(Int32.max)).contains(number) else {
            throw CLIError(.badValue, "not a number of 1 or more: \(argument.quoted)")
        }
        return Int(number)
    }

    static func text(_ argument: Argument) throws(CLIError) -> String {
        guard let text = argument.text else { throw CLIError(.badValue, "not UTF-8: \(argument.quoted)") }
        return text
    }

    static func nodeID(_ argument: Argument) throws(CLIError) -> NodeID {
        let text = try text(argument)
        do {
            return try NodeID(text)
        } catch {
            throw CLIError(.badNodeID, "not a NodeID: \(argument.quoted)", hint: error.remedy?.hint)
        }
    }

    /// A multiaddr that ends in `/p2p/NODEID`.
    static func peerAddress(_ argument: Argument) throws(CLIError) -> Address {
        let address = try address(argument)
        guard address.nodeID != nil else {
            throw CLIError(.badAddress, "the address names no node: \(argument.quoted)", hint: "add /p2p/NODEID to it")
        }
        return address
    }

    /// A port of a loopback address, or the path of a Unix socket.
    static func localAddress(_ argument: Argument) throws(CLIError) -> LocalAddress {
        let text = try text(argument)
        do throws(HTTPError) { return try LocalAddress(text) } catch {
            throw CLIError(
                .usage, TerminalText.escape(error.description),
                hint: "give 127.0.0.1:PORT, [::1]:PORT, or unix:PATH")
        }
    }

    /// A multiaddr or `HOST:PORT`.
    static func address(_ argument: Argument) throws(CLIError) -> Address {
        let text = try text(argument)
        do throws(IdentityError) {
            if text.utf8.first == UInt8(ascii: "/") { return try Address(text) }
            let hostPort = try HostPort(text)
            if let address = Address(quic: hostPort) { return address }
        } catch {
            throw CLIError(.badAddress, TerminalText.escape(error.message), hint: error.remedy?.hint)
        }
        throw CLIError(.badAddress, "the address names no host: \(argument.quoted)")
    }

    /// `HOST:PORT`, with both.
    static func hostPort(_ argument: Argument) throws(CLIError) -> String {
        let text = try text(argument)
        let hostPort: HostPort
        do throws(IdentityError) { hostPort = try HostPort(text) } catch {
            throw CLIError(.badAddress, TerminalText.escape(error.message), hint: error.remedy?.hint)
        }
        guard hostPort.host != nil, hostPort.port != 0 else {
            throw CLIError(.badAddress, "not HOST:PORT: \(argument.quoted)")
        }
        return "\(hostPort)"
    }

    /// Digits, then letters; nil when there are no digits, or more than 64 bits hold.
    private static func numberAndUnit(_ argument: Argument) -> (Int64, String)? {
        guard let text = argument.text else { return nil }
        let digits = text.utf8.prefix { (0x30...0x39).contains($0) }
        guard !digits.isEmpty, let number = Int64(String(digits) ?? "") else { return nil }
        return (number, String(text.utf8.dropFirst(digits.count)) ?? "")
    }
}
