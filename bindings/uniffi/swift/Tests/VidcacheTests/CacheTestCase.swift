import Foundation
import Vidcache
import XCTest

/// A cache of a test's own, in a folder of its own.
class CacheTestCase: XCTestCase {
    static let portal: Int64 = 62515
    static let secret = Data("thirty-two bytes kept out of it.".utf8)
    static let answer = Data(
        #"{"id":"901","properties":{"email":"ann@shop.test"},"updatedAt":"2026-03-01T10:00:00.000Z"}"#.utf8
    )

    private(set) var folder: URL!
    var path: String { folder.appendingPathComponent("hubspot.vidcache").path }

    override func setUpWithError() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("vidcache-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    }

    override func tearDownWithError() throws {
        try FileManager.default.removeItem(at: folder)
    }

    func open() throws -> Cache {
        try Cache(path: path, portalId: Self.portal, options: OpenOptions(secret: Self.secret))
    }

    /// The body fails with this code.
    func fails(_ code: String, file: StaticString = #filePath, line: UInt = #line, _ body: () throws -> Any) {
        XCTAssertThrowsError(try body(), file: file, line: line) { error in
            XCTAssertEqual((error as? VidcacheError)?.code, code, "\(error)", file: file, line: line)
        }
    }
}
