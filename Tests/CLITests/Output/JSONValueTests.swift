import DeP2PIdentity
import Testing

@testable import DeP2PCLI

@Suite struct JSONValueTests {
    @Test func values() {
        let value = JSONValue.object([
            .int("a", -1), .bool("b", true), JSONField("c", .null),
            JSONField("d", .array([.string("x"), .fixed(1500, decimals: 3)])),
            JSONField("e", .object([])), JSONField("f", .int(.max)),
        ])
        #expect(value.encoded == #"{"a":-1,"b":true,"c":null,"d":["x",1.500],"e":{},"f":9223372036854775807}"#)
    }

    @Test(arguments: [
        ("plain ü 文 🎈", #""plain ü 文 🎈""#), ("\"\\/", #""\"\\/""#), ("a\nb\r\t", #""a\nb\r\t""#),
        ("\u{0}\u{1b}\u{7f}", #""\u0000\u001b\u007f""#), ("\u{9b}", #""\u009b""#),
        ("\u{202e}\u{2028}", #""\u202e\u2028""#),
        ("\u{e0041}", #""\udb40\udc41""#),
    ])
    func strings(_ text: String, _ expected: String) {
        #expect(JSONValue.string(text).encoded == expected)
    }

    @Test(arguments: [
        (0, 3, "0.000"), (5, 3, "0.005"), (-5, 3, "-0.005"), (1234, 3, "1.234"), (-1234, 2, "-12.34"), (7, 0, "7"),
        (Int64.min, 1, "-922337203685477580.8"),
    ])
    func fixedPoint(_ value: Int64, _ decimals: Int, _ expected: String) {
        #expect(FixedPoint.text(value, decimals: decimals) == expected)
    }

    @Test func whatIsNotUTF8GoesIntoABase64Field() {
        #expect(JSONField.path("path", Array("a/b".utf8)) == .string("path", "a/b"))
        #expect(JSONField.path("path", [0xff]) == .string("path_base64", "/w=="))
        #expect(JSONField.text([0xff, 0xfe], named: "text", orBase64: "base64") == .string("base64", "//4="))
    }

    /// RFC 4648 section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func base64(_ text: String, _ expected: String) {
        #expect(Base64.encode(Array(text.utf8)) == expected)
    }

    @Test func durationsOfAnyLengthHaveMicroseconds() {
        #expect(Duration.seconds(2).wholeMicroseconds == 2_000_000)
        #expect(Duration.nanoseconds(1999).wholeMicroseconds == 1)
        #expect(Duration.seconds(Int64.max).wholeMicroseconds == .max)
        #expect(Duration.seconds(Int64.min).wholeMicroseconds == .min)
        #expect(JSONField.seconds("s", .milliseconds(1234)).value.encoded == "1.234")
        #expect(JSONField.milliseconds("s", .microseconds(1234)).value.encoded == "1.234")
    }

    @Test(arguments: [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (102_400, "100 KiB"),
        (1_048_575, "1023 KiB"),
        (1_073_741_824, "1.0 GiB"), (UInt64.max, "15.9 EiB"),
    ])
    func quantities(_ bytes: UInt64, _ expected: String) {
        #expect(FixedPoint.bytes(bytes) == expected)
    }

    @Test(arguments: [
        (Duration.microseconds(412), "0.41 ms"), (.milliseconds(31), "31 ms"), (.milliseconds(2400), "2.4 s"),
        (.seconds(187), "3:07"), (.seconds(3729), "1:02:09"),
    ])
    func times(_ value: Duration, _ expected: String) {
        #expect(FixedPoint.duration(value) == expected)
    }
}
