/// Base58 with the alphabet of Bitcoin, as libp2p peer ids and multibase `z` use it.
///
/// The conversion takes time quadratic in the length, so `decode` refuses what no identifier needs.
package enum Base58 {
    /// The longest text `decode` looks at, in characters.
    package static let maximumTextLength = 512

    static let radix = Radix("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")

    package static func encode(_ bytes: [UInt8]) -> String {
        radix.encode(bytes)
    }

    /// Nil on a character outside the alphabet and on more than `maximumTextLength` characters.
    package static func decode(_ text: String) -> [UInt8]? {
        radix.decode([UInt8](text.utf8), limit: maximumTextLength)
    }
}
