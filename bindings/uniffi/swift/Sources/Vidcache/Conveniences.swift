// What UniFFI has no words for: file names as text, and many look-ups in one call.

import Foundation

extension Cache {
    /// Opens the file at `path`, creating it where there is none.
    ///
    /// Any thread may use the cache. The file is closed by `close`, or when the last reference to it goes.
    ///
    /// Throws every code of opening: the arguments, the place, what is in the file.
    public convenience init(path: String, portalId: Int64, options: OpenOptions = OpenOptions()) throws {
        try self.init(path: Data(path.utf8), portalId: portalId, options: options)
    }

    /// The contacts of many users, in their order, for a fraction of a microsecond each; nil for none.
    ///
    /// Throws as `resolve`, of the first user that fails.
    public func resolveMany(users: [String]) throws -> [Int64?] {
        // In one text, where a NUL ends each: no key holds one.
        if let wrong = users.first(where: { $0.utf8.contains(0) }) {
            _ = try resolve(user: wrong)
        }
        let vids = try resolveManyTexts(users: users.map { $0 + "\0" }.joined())
        return vids.withUnsafeBytes { bytes in
            users.indices.map { index in
                let vid = bytes.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self)
                return vid == 0 ? nil : vid
            }
        }
    }
}

/// Puts a copy of a backup in the place of the file at `path`, while nobody has that open. Returns where what was there
/// is now, if there was anything.
///
/// Throws `busy`, `cannot_open`, `unsupported_filesystem`, `not_a_cache`, `newer_schema`, `corrupt`. Then the file is
/// as it was, or moved aside.
public func restore(backup: String, path: String) throws -> String? {
    try restore(from: Data(backup.utf8), path: Data(path.utf8)).map { String(decoding: $0, as: UTF8.self) }
}

/// Moves a file that will not open out of the way. Returns where it is now.
///
/// Throws `busy`, `cannot_open`, `unsupported_filesystem`. Then nothing was moved.
public func moveAside(path: String) throws -> String {
    String(decoding: try moveAside(path: Data(path.utf8)), as: UTF8.self)
}
