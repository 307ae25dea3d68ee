import DeP2PIdentity
import DeP2PReactor
import Glibc

// What Tests/Benchmarks/run.sh starts, in pairs: a server, and a client that measures.

let usage = """
    usage: Benchmarks serve                          prints its address, serves until standard input ends
           Benchmarks throughput ADDRESS MEBIBYTES   one way on one stream
           Benchmarks latency ADDRESS ROUNDS         1 KiB request and reply, a stream each
           Benchmarks pipelined ADDRESS REQUESTS     the same, 64 in flight
           Benchmarks handshake ADDRESS ROUNDS       new connection, first byte echoed
           Benchmarks first-contact ADDRESS ROUNDS   the same, of a node that is new to the server each time
           Benchmarks serve-members                  as serve, a node in a realm
           Benchmarks messages ADDRESS ROUNDS        1 KiB message and reply
           Benchmarks messages-pipelined ADDRESS N   the same, 64 in flight
           Benchmarks admission ADDRESS ROUNDS       new connection, realm admission
           Benchmarks serve-crowd [RELAY]            as serve-members, for more connections than any preset takes
           Benchmarks members-crowd ADDRESS N        that many members that say nothing; tells at a tenth, the half and the end
           Benchmarks members-idle ADDRESS N         that many idle connections, each of a node of its own
           Benchmarks serve-relayed RELAY            as serve, a node behind a relay; prints both its addresses
           Benchmarks node-throughput ADDRESS MIB    one way on one stream, directly or through a relay
           Benchmarks node-latency ADDRESS ROUNDS    1 KiB request and reply, a stream each
           Benchmarks node-circuits ADDRESS N        that many circuits, until standard input ends
           Benchmarks node-flood ADDRESS SECONDS     datagrams to its relay, as fast as they go
           Benchmarks strangers ADDRESS N            connections of strangers, as fast as they come
           Benchmarks meshsub PROTOCOL TOPIC [ADDRESS…]
                                                     GossipSub under its own name on connections without a realm; each
                                                     line of standard input is a command (OpenTopics.swift)
           Benchmarks provide ADDRESS CID            a node that says in the DHT of that one that it provides something
           Benchmarks codecs                         the hot codecs, one thread
           Benchmarks dht [--nodes N] [--seed N] [--start perfect|ring] [--churn SHARE] [--loss SHARE]
                          [--attack none|withhold|lie|invent|flood|records] [--sybils SHARE --sybils-conduct withhold|lie|invent]
                          [--records N] [--lookups N] [--warm-up SECONDS] [--span SECONDS]
                                                     a DHT of many nodes in memory, on virtual time
           Benchmarks topics [--nodes N] [--seed N] [--attack NAME] [--attackers SHARE] [--churn SHARE] [--loss SHARE]
                          [--size BYTES] [--messages N] [--rate N] [--dials N] [--uplink BYTES]
                                                     a topic of many nodes in memory, on virtual time
           Benchmarks dht-still [--nodes N] [--lookups N] [--loss SHARE] [--seed N]
                                                     lookups among a million nodes that stay

    """

func run(_ arguments: [String]) async throws -> Bool {
    switch (arguments.first, arguments.count) {
    case ("serve", 1): try await serve()
    case ("serve-members", 1): try await Members.serve()
    case ("serve-crowd", 1): try await Crowd.serve()
    case ("serve-crowd", 2): try await Crowd.serve(behind: try Address(arguments[1]))
    case ("serve-relayed", 2): try await Relayed.serve(behind: try Address(arguments[1]))
    case ("meshsub", 3...):
        let addresses = try arguments.dropFirst(3).map { try Address($0) }
        try await OpenTopics.run(speaking: arguments[1], of: arguments[2], to: addresses)
    case ("provide", 3):
        guard let cid = CID(arguments[2]) else { return false }
        try await provide(cid, through: try Address(arguments[1]))
    case ("codecs", 1): codecReport().show()
    case ("dht", _):
        guard let report = DHTSimulation.report(Array(arguments.dropFirst())) else { return false }
        report.show()
    case ("topics", _):
        guard let report = TopicSimulation.report(Array(arguments.dropFirst())) else { return false }
        report.show()
    case ("dht-still", _):
        guard let report = DHTSimulation.stillReport(Array(arguments.dropFirst())) else { return false }
        report.show()
    case (let mode?, 3):
        guard let count = Int(arguments[2]), count > 0 else { return false }
        let address = try Address(arguments[1])
        if let measurement = Client.measurements[mode] {
            // An application that lives on the network thread pays no thread switch for a reply.
            let report = try await networkTask {
                let client = try Client(address: address)
                defer { client.close() }
                return try await measurement(client)(count)
            }.value
            report.show()
        } else if let measurement = Members.measurements[mode] {
            try await networkTask { try await measurement(Members(address: address))(count) }.value.show()
        } else if let measurement = Crowd.measurements[mode] {
            try await networkTask { try await measurement(Crowd(address: address))(count) }.value.show()
        } else if let measurement = Strangers.measurements[mode] {
            try await networkTask { try await measurement(Strangers(address: address))(count) }.value.show()
        } else if let measurement = Relayed.measurements[mode] {
            try await networkTask { try await measurement(Relayed(address: address))(count) }.value.show()
        } else {
            return false
        }
    default: return false
    }
    return true
}

do {
    guard try await run(Array(CommandLine.arguments.dropFirst())) else {
        writeAll(usage, to: STDERR_FILENO)
        exit(64)
    }
} catch {
    writeAll("Benchmarks: \(error)\n", to: STDERR_FILENO)
    exit(1)
}
