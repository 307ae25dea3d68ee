import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

@Suite struct TCPProbeTests {
    static let leg = v4(198, 51, 100, 1, 8443)
    static let web = v4(198, 51, 100, 1, 80)

    static func report(asked: Int = 2) -> NATReport {
        var report = NATReport()
        (report.ipv4Family.asked, report.ipv4Family.silentHosts) = (asked, asked)
        return report
    }

    @Test("the named hosts are tried, and nothing else: TCP legs first, then the servers' own and the web's ports")
    func targets() {
        var observers = NATObservers()
        observers.tcp = [Self.leg]
        observers.udp = [v4(198, 51, 100, 1, 4001), v4(198, 51, 100, 2, 443)]
        #expect(
            TCPProbe.targets(observers) == [
                Self.leg, v4(198, 51, 100, 1, 4001), v4(198, 51, 100, 1, 443), v4(198, 51, 100, 1, 80),
                v4(198, 51, 100, 2, 443), v4(198, 51, 100, 2, 80),
            ])
        observers.udp = (1...50).map { v4(198, 51, 100, $0, 4001) }
        #expect(TCPProbe.targets(observers).count == TCPProbe.limit)
    }

    @Test("UDP silent and a TLS server behind TCP: UDP is blocked")
    func blocked() {
        var report = Self.report()
        TCPProbe.conclude(&report, [Self.leg: .connected([]), Self.web: .failed])
        #expect(report.tcp == true)
        #expect(report.udp == false)
        #expect(report.captivePortal == nil)
        #expect(report.verdict.hasPrefix("UDP is blocked here"))
    }

    @Test("nothing over TCP either: not determined")
    func nothing() {
        var report = Self.report()
        TCPProbe.conclude(&report, [Self.leg: .failed])
        #expect(report.tcp == false)
        #expect(report.udp == nil)
        #expect(report.captivePortal == nil)
    }

    @Test("a web page where TLS should be, 511, a redirection to another address: a captive portal")
    func portal() {
        func answer(_ text: String) -> [UInt8] { Array(text.utf8) }
        #expect(TCPProbe.isPortal(answer("HTTP/1.1 200 OK\r\n\r\n<html>"), at: Self.leg))
        #expect(TCPProbe.isPortal(answer("HTTP/1.1 511 Network Authentication Required\r\n\r\n"), at: Self.web))
        let away = answer("HTTP/1.1 302 Found\r\nServer: x\r\nLocation: http://10.0.0.1:8000/login\r\n\r\n")
        #expect(TCPProbe.isPortal(away, at: Self.web))
        let own = answer("HTTP/1.1 301 Moved\r\nlocation: https://198.51.100.1/\r\n\r\n")
        #expect(!TCPProbe.isPortal(own, at: Self.web))
        #expect(
            !TCPProbe.isPortal(answer("HTTP/1.1 301 Moved\r\nLocation: https://example.org/\r\n\r\n"), at: Self.web))
        #expect(!TCPProbe.isPortal(answer("HTTP/1.1 200 OK\r\n\r\n"), at: Self.web))
        var report = Self.report()
        TCPProbe.conclude(&report, [Self.web: .connected(away)])
        #expect(report.captivePortal == true)
        #expect(report.verdict.contains("captive portal"))
    }

    @Test("a connection that is answered, one that is closed, one that is refused")
    @NetworkActor
    func connections() async throws {
        func listener(_ answer: [UInt8]) throws -> TCPAcceptor {
            let acceptor = try TCPAcceptor(bind: SocketAddress(.v4Loopback, port: 0), clock: SystemNetworkClock.shared)
            acceptor.start { descriptor, _ in
                let socket = StreamSocket(descriptor)
                networkTask {
                    _ = try? await socket.read(upTo: 100)
                    try? await socket.write(answer)
                    socket.close()
                }
            }
            return acceptor
        }
        let answers = try listener(Array("HTTP/1.1 200 OK\r\n\r\n".utf8))
        let closes = try listener([])
        func report(of acceptors: TCPAcceptor...) async throws -> NATReport {
            var (report, observers) = (Self.report(), NATObservers())
            observers.tcp = acceptors.map(\.address)
            try await TCPProbe.complete(&report, observers)
            return report
        }
        let both = try await report(of: closes, answers)
        #expect(both.tcp == true && both.captivePortal == true)
        let closed = try await report(of: closes)
        #expect(closed.tcp == true && closed.captivePortal == nil)
        for acceptor in [answers, closes] { acceptor.close() }
        #expect(try await report(of: answers, closes).tcp == false)
    }

    @Test("answers of any bytes are looked at without harm")
    func noise() {
        let sample = Array("HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n".utf8)
        for bytes in mutations(of: sample, rounds: 2000, seed: 5) {
            _ = TCPProbe.isPortal(bytes, at: Self.web)
            _ = TCPProbe.isPortal(bytes, at: Self.leg)
        }
    }
}
