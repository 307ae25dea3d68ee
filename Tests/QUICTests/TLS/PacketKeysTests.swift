import CDeP2PGnuTLS
import CDeP2PIPSecMB
import CDeP2PQUICShim
import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

private let packetKeysArePossible: Bool = {
    let key = dep2p_gcm_create([UInt8](repeating: 0, count: 16))
    dep2p_gcm_free(key)
    return key != nil
}()

/// The protection of packets with AES-128-GCM (`gcm.c`, `quic_keys.c`), where the processor has what it needs.
@Suite(.serialized, .timeLimit(.minutes(1)), .enabled(if: packetKeysArePossible))
@NetworkActor
struct PacketKeysTests {
    private static let tag = 16

    private func sealed(_ plain: [UInt8], _ key: [UInt8], _ nonce: [UInt8], _ extra: [UInt8]) throws -> [UInt8] {
        let key = try #require(dep2p_gcm_create(key))
        defer { dep2p_gcm_free(key) }
        // In place, as packets are.
        var result = plain + [UInt8](repeating: 0xee, count: Self.tag + 1)
        result.withUnsafeMutableBufferPointer { bytes in
            let status = dep2p_gcm_seal(
                key, bytes.baseAddress, bytes.baseAddress, plain.count, nonce, extra, extra.count)
            #expect(status == 0)
        }
        #expect(result.popLast() == 0xee)
        return result
    }

    /// `nil` where it is refused; then nothing of what is inside is told.
    private func opened(_ sealed: [UInt8], _ key: [UInt8], _ nonce: [UInt8], _ extra: [UInt8]) throws -> [UInt8]? {
        let key = try #require(dep2p_gcm_create(key))
        defer { dep2p_gcm_free(key) }
        let count = max(sealed.count - Self.tag, 0)
        var result = [UInt8](repeating: 0xee, count: count + 1)
        let status = dep2p_gcm_open(key, &result, sealed, sealed.count, nonce, extra, extra.count)
        #expect(result.popLast() == 0xee)
        if status == 0 { return result }
        #expect(sealed.count < Self.tag || result.allSatisfy { $0 == 0 })
        return nil
    }

    /// By GnuTLS.
    private func reference(_ plain: [UInt8], _ key: [UInt8], _ nonce: [UInt8], _ extra: [UInt8]) -> [UInt8] {
        var (key, handle) = (key, gnutls_aead_cipher_hd_t?.none)
        var result = [UInt8](repeating: 0, count: plain.count + Self.tag)
        var count = result.count
        key.withUnsafeMutableBufferPointer { bytes in
            var datum = gnutls_datum_t(data: bytes.baseAddress, size: UInt32(bytes.count))
            #expect(gnutls_aead_cipher_init(&handle, GNUTLS_CIPHER_AES_128_GCM, &datum) == 0)
        }
        defer { gnutls_aead_cipher_deinit(handle) }
        #expect(
            gnutls_aead_cipher_encrypt(
                handle, nonce, nonce.count, extra, extra.count, Self.tag, plain, plain.count, &result, &count) == 0)
        return result
    }

    /// RFC 9001, A.3: the server's Initial.
    @Test func protectsThePacketOfTheRFC() throws {
        let key = try #require(Hex.decode("cf3a5331653c364c88f0f379b6067e37"))
        // The IV with the packet's number, 1.
        let nonce = try #require(Hex.decode("0ac1493ca1905853b0bba03f"))
        let header = try #require(Hex.decode("c1000000010008f067a5502a4262b50040750001"))
        let payload = try #require(
            Hex.decode(
                "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a1200130100"
                    + "002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304"
            ))
        let protected = try #require(
            Hex.decode(
                "5a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7"
                    + "684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d"
                    + "20398c276456cbc42158407dd074ee"))
        #expect(try sealed(payload, key, nonce, header) == protected)
        #expect(try opened(protected, key, nonce, header) == payload)
        let maskKey = try #require(Hex.decode("c206b8d9b9f0f37644430b490eeaa314"))
        let sample = try #require(Hex.decode("2cd0991cd25b0aac406a5816b6394100"))
        let block = try #require(dep2p_block_create(maskKey))
        defer { dep2p_block_free(block) }
        var mask = [UInt8](repeating: 0, count: 16)
        dep2p_block_encrypt(block, &mask, sample)
        #expect(Array(mask.prefix(5)) == Hex.decode("2ec0d8356a"))
    }

    /// Of every length that a packet may have, and of headers.
    @Test func agreesWithGnuTLS() throws {
        var random = SplitMix64(seed: 9)
        func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
        for count in Array(0...300) + (0..<100).map({ _ in Int.random(in: 300...70_000, using: &random) }) {
            let (key, nonce, extra) = (bytes(16), bytes(12), bytes(Int.random(in: 0...60, using: &random)))
            let plain = bytes(count)
            let box = try sealed(plain, key, nonce, extra)
            #expect(box == reference(plain, key, nonce, extra))
            #expect(try opened(box, key, nonce, extra) == plain)
        }
    }

    @Test func opensNothingThatWasChanged() throws {
        let (key, nonce) = ([UInt8](1...16), [UInt8](1...12))
        let (extra, plain) = ([UInt8](1...20), [UInt8](1...40))
        let box = try sealed(plain, key, nonce, extra)
        for bit in 0..<box.count * 8 {
            var changed = box
            changed[bit / 8] ^= 1 << (bit % 8)
            #expect(try opened(changed, key, nonce, extra) == nil)
        }
        for bit in 0..<extra.count * 8 {
            var changed = extra
            changed[bit / 8] ^= 1 << (bit % 8)
            #expect(try opened(box, key, nonce, changed) == nil)
        }
        for count in 0..<box.count { #expect(try opened(Array(box.prefix(count)), key, nonce, extra) == nil) }
        #expect(try opened(box + [0], key, nonce, extra) == nil)
        #expect(try opened(box, [UInt8](2...17), nonce, extra) == nil)
        #expect(try opened(box, key, [UInt8](2...13), extra) == nil)
    }

    /// Both directions of both sides.
    @Test func connectionsAreProtectedByIt() async throws {
        try await withPair { pair, _ in
            let before = dep2p_keys_installed()
            let connection = try await pair.client.connect(to: pair.serverAddress, expecting: nil)
            try await pair.network.sleep(for: .seconds(1))
            #expect(dep2p_keys_installed() >= before + 4)
            connection.close(code: 0)
        }
        var configuration = EndpointConfiguration()
        configuration.packetKeys = .gnuTLS
        let before = dep2p_keys_installed()
        try await withPair(server: configuration, client: configuration) { pair, network in
            let connection = try await pair.client.connect(to: pair.serverAddress, expecting: nil)
            try await network.sleep(for: .seconds(1))
            connection.close(code: 0)
        }
        #expect(dep2p_keys_installed() == before, "GnuTLS alone, where that is wanted")
    }
}
