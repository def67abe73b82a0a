import Foundation
import Vidcache
import XCTest

/// Bad input of Swift's types: an error of the library's, and nothing is lost by it.
final class InputTest: CacheTestCase {
    func testUsers() throws {
        let cache = try open()
        try cache.link(user: "1", vid: 11)
        let good = ImportRow(user: "2", vid: 2, email: nil, emailAtMs: 0)
        for user in ["", String(repeating: "x", count: 256), String(repeating: "é", count: 128), "a\0b", "\0"] {
            let calls: [() throws -> Any] = [
                { try cache.resolve(user: user) as Any },
                { try cache.resolveMany(users: [user]) },
                { try cache.resolveMany(users: ["1", user]) },
                { try cache.decide(user: user, email: nil) },
                { try cache.decideMany(users: [DecisionRequest(user: "1", email: nil), DecisionRequest(user: user, email: nil)]) },
                { try cache.snippet(user: user, email: nil) },
                { try cache.pageData(user: user, email: nil) },
                { try cache.link(user: user, vid: 1) },
                { try cache.linkShared(user: user, vid: 1) },
                { try cache.record(user: user, answer: Self.answer) },
                { try cache.importUsers(rows: [good, ImportRow(user: user, vid: 3, email: nil, emailAtMs: 0)]) },
                { try cache.beginEmailChange(user: user) },
                { try cache.abandonEmailChange(user: user, change: 1) },
                { try cache.isChangeOutstanding(user: user, change: 1) },
                { try cache.changeOutstandingSince(user: user, change: 1) as Any },
                { try cache.explain(user: user, email: nil) },
                { try cache.forget(user: user) },
                { try cache.export(user: user) },
            ]
            for call in calls {
                fails("invalid_user_key", call)
            }
        }
        XCTAssertEqual(try cache.resolveMany(users: ["1", "2"]), [11, nil])
        XCTAssertEqual(try cache.verify(), [])
    }

    func testEmails() throws {
        let cache = try open()
        for email in ["", "ann", "@", "a\nb@c", "a\0@b", String(repeating: "a", count: 300) + "@b"] {
            let calls: [() throws -> Any] = [
                { try cache.decide(user: "1", email: email) },
                { try cache.decideMany(users: [DecisionRequest(user: "1", email: email)]) },
                { try cache.snippet(user: "1", email: email) },
                { try cache.pageData(user: "1", email: email) },
                { try cache.explain(user: "1", email: email) },
                { try cache.importUsers(rows: [ImportRow(user: "1", vid: 1, email: email, emailAtMs: 0)]) },
            ]
            for call in calls {
                fails("invalid_email", call)
                XCTAssertThrowsError(try call()) { error in
                    XCTAssertFalse(email.count > 2 && "\(error) \(error.localizedDescription)".contains(email))
                }
            }
        }
    }

    func testContacts() throws {
        let cache = try open()
        for vid in [0, -1, Int64.min] {
            fails("invalid_vid") { try cache.link(user: "1", vid: vid) }
            fails("invalid_vid") { try cache.linkShared(user: "1", vid: vid) }
            fails("invalid_vid") { try cache.importUsers(rows: [ImportRow(user: "1", vid: vid, email: nil, emailAtMs: 0)]) }
        }
        XCTAssertNil(try cache.resolve(user: "1"))
    }

    func testChanges() throws {
        let cache = try open()
        for change in [0, -1, Int64.max, 12345] {
            fails("unknown_change") { try cache.record(user: "1", answer: Self.answer, change: change) }
            fails("unknown_change") { try cache.abandonEmailChange(user: "1", change: change) }
            fails("unknown_change") { try cache.isChangeOutstanding(user: "1", change: change) }
            fails("unknown_change") { try cache.changeOutstandingSince(user: "1", change: change) as Any }
        }
        XCTAssertNil(try cache.resolve(user: "1"))
    }

    func testAnswers() throws {
        let cache = try open()
        for answer in [Data([0xff]), Data("{".utf8), Data(repeating: UInt8(ascii: "["), count: 10_000)] {
            fails("invalid_answer") { try cache.record(user: "1", answer: answer) }
            fails("invalid_answer") { try cache.observe(answer: answer) }
            fails("invalid_webhook") { try cache.applyWebhook(body: answer) }
        }
        // A slice does not begin at 0.
        let padded = Data("xx".utf8) + Self.answer
        XCTAssertEqual(try cache.record(user: "1", answer: padded.dropFirst(2)).vid, 901)
    }

    func testOpening() throws {
        func opening(_ options: OpenOptions) throws -> Cache {
            try Cache(path: path, portalId: Self.portal, options: options)
        }
        for portal in [0, -1, Int64.min] {
            fails("invalid_portal") { try Cache(path: self.path, portalId: portal) }
        }
        for secret in ["", "short"] {
            fails("invalid_secret") { try opening(OpenOptions(secret: Data(secret.utf8))) }
        }
        for path in ["", "a\0b", "/nowhere/at/all"] {
            fails("cannot_open") { try Cache(path: path, portalId: Self.portal) }
        }
        for options in [
            OpenOptions(busyTimeoutMs: UInt64.max), OpenOptions(busyTimeoutMs: 3_600_001), OpenOptions(pageDeadlineMs: 0),
            OpenOptions(pageDeadlineMs: 3_600_001), OpenOptions(loaderHost: "a b"), OpenOptions(loaderHost: ""),
        ] {
            fails("invalid_option") { try opening(options) }
        }
        let cache = try opening(OpenOptions(memory: 0, busyTimeoutMs: 0, pageDeadlineMs: 100, full: false))
        try cache.link(user: "1", vid: 1)
        XCTAssertEqual(try cache.resolve(user: "1")?.vid, 1)
    }

    func testOtherArguments() throws {
        let cache = try open()
        fails("invalid_answer") {
            try cache.importUsers(rows: [ImportRow(user: "1", vid: 1, email: "a@x.test", emailAtMs: Int64.max)])
        }
        XCTAssertEqual(try cache.staleChanges(olderThanMs: UInt64.max, limit: UInt32.max), [])
        let nonce = "\"><script>"
        XCTAssertFalse(try cache.anonymousSnippet(nonce: nonce).contains(nonce))
    }
}
