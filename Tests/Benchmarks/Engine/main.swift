import Glibc
import Identity
import QUIC

// What Tests/Benchmarks/run.sh starts, in pairs: a server, and a client that measures.

let usage = """
    usage: Benchmarks serve                          prints its address, serves until standard input ends
           Benchmarks throughput ADDRESS MEBIBYTES   one way on one stream
           Benchmarks latency ADDRESS ROUNDS         1 KiB request and reply, a stream each
           Benchmarks pipelined ADDRESS REQUESTS     the same, 64 in flight
           Benchmarks handshake ADDRESS ROUNDS       new connection, first byte echoed
           Benchmarks idle ADDRESS CONNECTIONS       that many idle connections
           Benchmarks codecs                         the hot codecs, one thread

    """

func run(_ arguments: [String]) async throws -> Bool {
    switch (arguments.first, arguments.count) {
    case ("serve", 1): try await serve()
    case ("codecs", 1): codecReport().show()
    case (let mode?, 3):
        guard let measurement = Client.measurements[mode], let count = Int(arguments[2]), count > 0 else {
            return false
        }
        let client = try await Client(address: Address(arguments[1]))
        let report = try await measurement(client)(count)
        await client.close()
        report.show()
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
