import Foundation

/// A value of JSON, as the cases of tests/conformance are written in it.
enum JSON: Equatable {
    case null
    case bool(Bool)
    case number(Int64)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    static func optional(_ number: Int64?) -> JSON { number.map(JSON.number) ?? .null }
    static func optional(_ text: String?) -> JSON { text.map(JSON.string) ?? .null }
    static func counts(_ fields: [String: UInt64]) -> JSON { .object(fields.mapValues { .number(Int64($0)) }) }

    /// The field, or null.
    subscript(_ name: String) -> JSON { object[name] ?? .null }

    var object: [String: JSON] { if case let .object(fields) = self { fields } else { [:] } }
    var array: [JSON] { if case let .array(values) = self { values } else { [] } }

    /// A number; any other value is a mistake in the case.
    var number: Int64 { if case let .number(value) = self { value } else { fatalError("no number: \(self)") } }
    /// A text; any other value is a mistake in the case.
    var text: String { if case let .string(value) = self { value } else { fatalError("no text: \(self)") } }

    /// The bytes of `{"hex": "ff"}`.
    var bytes: Data {
        let digits = Array(self["hex"].text)
        return Data(stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...($0 + 1)]), radix: 16)! })
    }

    /// A text in any of the ways in which cases have one, a number among them; nil for null, and for what is not UTF-8.
    var asText: String? {
        switch self {
        case let .string(text): return text
        case let .number(value): return String(value)
        case let .object(fields) where fields["hex"] != nil: return String(data: bytes, encoding: .utf8)
        case let .object(fields): return String(repeating: fields["text"]!.text, count: Int(fields["times"]!.number))
        default: return nil
        }
    }
}

extension JSON: Codable {
    init(from decoder: Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let found = try? value.decode(Bool.self) {
            self = .bool(found)
        } else if let found = try? value.decode(Int64.self) {
            self = .number(found)
        } else if let found = try? value.decode(String.self) {
            self = .string(found)
        } else if let found = try? value.decode([JSON].self) {
            self = .array(found)
        } else {
            self = .object(try value.decode([String: JSON].self))
        }
    }

    func encode(to encoder: Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case let .bool(given): try value.encode(given)
        case let .number(given): try value.encode(given)
        case let .string(given): try value.encode(given)
        case let .array(given): try value.encode(given)
        case let .object(given): try value.encode(given)
        }
    }
}
