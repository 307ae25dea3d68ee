import Glibc
import Identity
import QUIC
import SystemLayer

// The engine's network parts by themselves, for the lab: one command, NDJSON on standard output.
//
//     NATProbe observe ADDRESS:PORT…     answers STUN until standard input ends
//     NATProbe check ADDRESS:PORT…       what this network does, as the observers see it
//     NATProbe protocols                 which port mapping protocols the gateway speaks
//     NATProbe map PORT [PROTOCOL]       keeps PORT mapped until standard input ends, first by PROTOCOL

func emit(_ fields: [(String, String)]) {
    print("{" + fields.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ", ") + "}")
    fflush(nil)
}

func quoted(_ text: (some CustomStringConvertible)?) -> String { text.map { "\"\($0)\"" } ?? "null" }

func plain(_ value: (some CustomStringConvertible)?) -> String { value.map { "\($0)" } ?? "null" }

func socketAddress(_ text: String) -> SocketAddress? {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    let host = text[..<colon].filter { $0 != "[" && $0 != "]" }
    return IPAddress(host).map { SocketAddress($0, port: port) }
}

@NetworkActor
func waitForEndOfInput() async {
    _ = try? await offload {
        var byte: UInt8 = 0
        while read(STDIN_FILENO, &byte, 1) > 0 {}
    }
}

@NetworkActor
func observe(_ addresses: [SocketAddress]) async throws {
    var responder = STUNResponder()
    let sockets = try addresses.map { DatagramSocket(try UDPDriver(bind: [$0])) }
    for socket in sockets {
        socket.onDatagram = { datagram in
            let response = responder.respond(
                to: datagram.bytes, from: datagram.remote, on: socket.localAddress, now: SystemNetworkClock.shared.now)
            if let response { socket.send(response.bytes, to: response.destination) }
        }
    }
    emit([("type", quoted("ready"))])
    await waitForEndOfInput()
}

@NetworkActor
func check(_ observers: [SocketAddress]) async throws {
    let report = try await NATCheck().run(observers: observers)
    emit([
        ("udp", plain(report.udp)), ("ipv4", plain(report.ipv4)), ("ipv6", plain(report.ipv6)),
        ("mapping", quoted(report.mapping?.rawValue)), ("filtering", quoted(report.filtering?.rawValue)),
        ("nat_type", quoted(report.natType?.rawValue)), ("hairpin", plain(report.decisive.hairpin)),
        ("ports", quoted(report.decisive.allocation)), ("mtu", plain(report.decisive.mtu)),
        ("ipv6_type", quoted(report.ipv6Family.natType?.rawValue)), ("observers", plain(report.observers)),
        ("observed", "[" + report.observed.map { quoted($0) }.joined(separator: ", ") + "]"),
        ("verdict", quoted(report.verdict)),
    ])
}

@NetworkActor
func protocols() async throws {
    let found = try await PortMappingProbe().run()
    emit(PortMappingProtocol.allCases.map { ($0.rawValue, plain(found[$0])) })
}

@NetworkActor
func map(_ port: UInt16, _ preferred: PortMappingProtocol) async {
    guard let mapper = PortMapper(internalPort: port, preferred: preferred) else {
        return emit([("error", quoted("no gateway"))])
    }
    mapper.onChange = { mapping in
        emit([
            ("protocol", quoted(mapping?.kind.rawValue)), ("port", plain(mapping?.externalPort)),
            ("address", quoted(mapping?.externalAddress)),
        ])
    }
    mapper.start()
    await waitForEndOfInput()
    await mapper.stop()
    emit([("type", quoted("stopped"))])
}

let arguments = Array(CommandLine.arguments.dropFirst())
let addresses = arguments.dropFirst().compactMap(socketAddress)
switch arguments.first {
case "observe": try await observe(addresses)
case "check": try await check(addresses)
case "protocols": try await protocols()
case "map" where arguments.count >= 2:
    await map(UInt16(arguments[1]) ?? 0, arguments.dropFirst(2).first.flatMap(PortMappingProtocol.init) ?? .pcp)
default: exit(64)
}
