import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Foundation
import Testing

@testable import DeP2P

/// `PROTOCOL.md`, section 4: what a node serves and what the table says are the same.
@Suite @NetworkActor struct ProtocolTableTests {
    private struct Row {
        let names: [String]
        let gate: String
        let sections: [String]
    }

    private static let text: String = {
        let root = #filePath.split(separator: "/").dropLast(4).reduce("") { $0 + "/" + $1 }
        return (try? String(contentsOfFile: root + "/Sources/PROTOCOL.md", encoding: .utf8)) ?? ""
    }()

    /// Rows of the table whose first cell has names of protocols.
    private static let rows: [Row] = text.split(separator: "\n").compactMap { line in
        guard line.hasPrefix("| `/") else { return nil }
        let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        guard cells.count == 3 else { return nil }
        let names = cells[0].components(separatedBy: ", ").map { $0.trimmingCharacters(in: ["`"]) }
        return Row(names: names, gate: cells[1], sections: cells[2].components(separatedBy: ", "))
    }

    /// `…` and `NAME` stand for others.
    private static let named = rows.flatMap(\.names).filter { !$0.contains("…") && !$0.contains("NAME") }

    @Test func whatANodeServesIsInTheTable() async throws {
        let world = SimulatedWorld(seed: 1)
        let folder = try TemporaryFolder()
        try await world.run {
            var configuration = NodeConfiguration()
            configuration.relay = RelayConfiguration(membersOnly: false)
            configuration.usesDHT = true
            let node = try world.node(configuration, on: world.machine())
            try await node.receive(into: folder.path)
            #expect(Set(node.connections.registry.names(for: .members)) == Set(Self.named))
            await node.stop(grace: .zero)
        }
    }

    @Test func theTableSaysTheGateAndASectionThatThereIs() {
        #expect(Self.rows.count >= 11 && Set(Self.named).count == Self.named.count)
        for row in Self.rows {
            for name in row.names {
                let gate = ProtocolRegistry.gate(of: name.replacing("…", with: "x"))
                #expect(row.gate == (gate == .open ? "open" : "members"), "\(name)")
            }
            for section in row.sections { #expect(Self.text.contains("\n## \(section). "), "\(row.names)") }
        }
    }
}
