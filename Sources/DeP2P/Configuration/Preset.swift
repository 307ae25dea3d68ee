package import DeP2PApp
package import DeP2PQUIC
package import DeP2PSessions

/// Every limit of a node under one name, as plain data: take one, change what must differ.
public struct Preset: Sendable {
    public var name: String
    /// Handshakes in flight, streams, windows, keep-alive and idle timeout.
    package var quic: EndpointConfiguration
    package var connections: ConnectionLimits
    package var messaging: MessagingLimits
    /// Transfers received at once; a sender has at most half of them, and the others wait.
    package var transfers = 16
    /// Bytes of memory for the offers of all transfers under way; half of it for one sender.
    package var offerBytes: Int
    /// Whether gateways are asked to open the node's port: machines at home are behind one, servers are not.
    package var mapsPorts: Bool
    /// Whether the node relays for its realm where it can: servers have the lines for it.
    package var relaysForRealm: Bool
    /// Whether a NAT's ports are guessed where nothing else leads to a node: thousands of datagrams are too many for a phone.
    package var guessesPorts: Bool

    /// For phones: few connections, long silences.
    public static let mobile = Preset(
        "mobile", low: 20, high: 100, bufferedMiB: 16, keepAlive: .seconds(20), idleTimeout: .seconds(60),
        guessesPorts: false)
    /// The default.
    public static let desktop = Preset(
        "desktop", low: 100, high: 400, bufferedMiB: 64, keepAlive: .seconds(3), idleTimeout: .seconds(9))
    /// For machines that serve many.
    public static let server = Preset(
        "server", low: 500, high: 2000, bufferedMiB: 256, keepAlive: .seconds(3), idleTimeout: .seconds(9),
        mapsPorts: false, relaysForRealm: true)
    /// For tests and small devices.
    public static let minimal = Preset(
        "minimal", low: 10, high: 50, bufferedMiB: 8, keepAlive: .seconds(3), idleTimeout: .seconds(9), mapsPorts: false
    )

    public static let all = [mobile, desktop, server, minimal]

    /// The preset called `name`.
    public static func named(_ name: String) -> Preset? { all.first { $0.name == name } }

    private init(
        _ name: String, low: Int, high: Int, bufferedMiB: Int, keepAlive: Duration, idleTimeout: Duration,
        mapsPorts: Bool = true, relaysForRealm: Bool = false, guessesPorts: Bool = true
    ) {
        self.name = name
        self.relaysForRealm = relaysForRealm
        self.mapsPorts = mapsPorts
        self.guessesPorts = guessesPorts
        quic = EndpointConfiguration()
        quic.keepAlive = keepAlive
        quic.idleTimeout = idleTimeout
        quic.limitCloseCode = CloseCode.limit.rawValue
        connections = ConnectionLimits(low: low, high: high)
        connections.handlersPerSession = quic.maxStreams
        offerBytes = 4 * bufferedMiB * 1024 * 1024
        messaging = MessagingLimits()
        messaging.bufferedBytes = bufferedMiB * 1024 * 1024
        fitQUIC()
    }

    /// Connections down to which, and above which, unprotected ones are closed.
    public var lowWatermark: Int { connections.low }
    public var highWatermark: Int { connections.high }

    /// Sets the watermarks and, in proportion to them, the slack and the shares of strangers.
    ///
    /// - Parameters:
    ///   - low: at least 1 and at most `high`.
    ///   - high: beyond it the least valuable connections are closed.
    public mutating func setWatermarks(low: Int, high: Int) {
        let (old, high) = (connections, max(high, 1))
        connections = ConnectionLimits(low: min(max(low, 1), high), high: high)
        connections.handlersPerSession = old.handlersPerSession
        fitQUIC()
    }

    /// Who has shaken hands has to be let in for it to be decided who goes: the connection manager does that.
    private mutating func fitQUIC() {
        quic.inboundAllowance = ConnectionAllowance(
            streams: connections.strangerStreams, window: connections.strangerWindow,
            maxWindow: connections.strangerWindow)
        quic.maxConnections =
            connections.high + connections.slack + connections.strangers + 2 * connections.dials
    }
}
