import Testing

@testable import DeP2PCLI

/// What only a terminal sees.
@Suite struct TerminalTests {
    private func session(_ line: String, in sandbox: Sandbox, more: [String] = []) throws -> String {
        let environment = sandbox.environment.filter { !$0.hasPrefix("TERM=") } + ["TERM=xterm"] + more
        let session = try TerminalSession(["sh", "-c", "cd \(sandbox.path); \(line)"], environment: environment)
        return session.readToEnd()
    }

    @Test func errorsHaveColourUnlessItIsNotWanted() throws {
        let sandbox = try Sandbox()
        #expect(try session("dep2p bogus", in: sandbox).contains("\u{1b}[1;31merror:\u{1b}[0m"))
        for line in ["dep2p --no-color bogus", "TERM=dumb dep2p bogus"] {
            #expect(try !session(line, in: sandbox).contains("\u{1b}"))
        }
        #expect(try !session("dep2p bogus", in: sandbox, more: ["NO_COLOR=1"]).contains("\u{1b}"))
    }

    @Test func anIdentityIsNotShownUnasked() throws {
        let sandbox = try Sandbox()
        #expect(try session("dep2p keygen", in: sandbox).contains("standard output is a terminal"))
        #expect(try session("dep2p keygen -o -", in: sandbox).contains("BEGIN PRIVATE KEY"))
    }

    @Test func receivedContentIsNotShownUnasked() throws {
        let sandbox = try Sandbox()
        let text = try session("dep2p listen --stdout; echo status $?", in: sandbox)
        #expect(text.contains("standard output is a terminal") && text.contains("status 64"))
    }

    @Test func progressIsALineThatGoesAway() throws {
        let sandbox = try Sandbox()
        let listen = """
            dep2p realm-key -q -o realm.key >/dev/null; echo content > file
            (timeout 60 dep2p listen --once --ephemeral --realm-key realm.key --listen 127.0.0.1:0 -o in >/dev/null 2>l.err)&
            until grep -qs 'other machine' l.err; do sleep 0.05; done
            dep2p send --ephemeral --realm-key realm.key --to "$(sed -n 's/.*listening on //p' l.err)" file; wait
            """
        let text = try session(listen, in: sandbox)
        #expect(text.contains("\rfile  8 B of 8 B  100 %"))
        #expect(text.contains("\r\u{1b}[Kdep2p: sent 8 B"))
    }
}
