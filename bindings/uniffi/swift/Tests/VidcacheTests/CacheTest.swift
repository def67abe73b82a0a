import Foundation
import Vidcache
import XCTest

/// What the cache does, called as an app calls it.
final class CacheTest: CacheTestCase {
    func testFromTheAnswerToThePageAndThroughAChange() throws {
        let cache = try open()
        let recorded = try cache.record(user: "42", answer: Self.answer)
        XCTAssertEqual(recorded.vid, 901)
        XCTAssertTrue(recorded.canonical && recorded.emailObserved)
        let agreed = try cache.decide(user: "42", email: " Ann@Shop.test ")
        XCTAssertEqual(agreed, Decision(email: "ann@shop.test", id: 901, reason: "agreed"))
        XCTAssertTrue(try cache.snippet(user: "42", email: "ann@shop.test", nonce: "r4nd0m").contains("ann@shop.test"))

        let change = try cache.beginEmailChange(user: "42")
        XCTAssertTrue(try cache.isChangeOutstanding(user: "42", change: change))
        XCTAssertNotNil(try cache.changeOutstandingSince(user: "42", change: change))
        XCTAssertEqual(try cache.decide(user: "42", email: "ann@home.test").reason, "change_outstanding")
        let answer = #"{"id":"901","properties":{"email":"ann@home.test"},"updatedAt":"2026-03-01T11:00:00.000Z"}"#
        _ = try cache.record(user: "42", answer: Data(answer.utf8), change: change)
        XCTAssertFalse(try cache.isChangeOutstanding(user: "42", change: change))
        XCTAssertNil(try cache.changeOutstandingSince(user: "42", change: change))
        let users = [DecisionRequest(user: "42", email: "ann@home.test"), DecisionRequest(user: "43", email: nil)]
        XCTAssertEqual(try cache.decideMany(users: users).map(\.reason), ["agreed", "not_linked"])
        XCTAssertEqual(try cache.verify(), [])
    }

    func testAPageOfTheAppsOwnGetsTheSameAsJSON() throws {
        let cache = try open()
        _ = try cache.record(user: "42", answer: Self.answer)
        let data = try cache.pageData(user: "42", email: "ann@shop.test")
        XCTAssertTrue(data.hasSuffix(#""ttl":10000,"id":"vid:901","email":"ann@shop.test"}"#), data)
        XCTAssertFalse(try cache.anonymousPageData().contains("id"))
        XCTAssertTrue(try cache.signedOutPageData().contains(#""out":true"#))
        XCTAssertTrue(try cache.signedOutSnippet(nonce: "r4nd0m").contains(#""out":true"#))
        XCTAssertEqual(try cache.quietPeriodMs(), 15_000)
    }

    func testConflictsRefusalsAndWhoseAContactIs() throws {
        let conflict = #"{"status": "error", "category": "CONFLICT", "message": "Contact already exists. Existing ID: 902"}"#
        let cache = try open()
        _ = try cache.record(user: "42", answer: Self.answer)
        try cache.link(user: "43", vid: 902)
        XCTAssertThrowsError(try cache.record(user: "42", answer: Data(conflict.utf8)))
        let found = try cache.conflicts(after: nil, limit: 10)
        XCTAssertEqual(found.map { [$0.user, $0.why] }, [["42", "email_held"]])
        XCTAssertEqual(found.map { [$0.vid, $0.holder] }, [[901, 902]])
        XCTAssertGreaterThan(found[0].sinceMs, 0)
        XCTAssertEqual(try cache.conflicts(after: "42", limit: 10), [])
        try cache.endConflict(user: "42")
        XCTAssertEqual(try cache.conflicts(after: nil, limit: 10), [])
        try cache.linkShared(user: "43", vid: 901)
        XCTAssertEqual(try cache.usersOf(vid: 901).sorted(), ["42", "43"])
        try cache.doubtAll()
        XCTAssertEqual(try cache.decide(user: "42", email: "ann@shop.test").reason, "email_unconfirmed")
        XCTAssertNil(try cache.refusal(user: "42"))
        XCTAssertThrowsError(try cache.usersOf(vid: 0))
    }

    func testManyAreResolvedInTheirOrder() throws {
        let cache = try open()
        try cache.link(user: "42", vid: 1)
        try cache.link(user: "Zoë", vid: Int64.max)
        XCTAssertEqual(try cache.resolveMany(users: ["Zoë", "nobody", "42", "42"]), [Int64.max, nil, 1, 1])
        XCTAssertEqual(try cache.resolveMany(users: []), [])
    }

    func testAHandleHearsOfWhatAnotherWrites() throws {
        let cache = try open(), other = try open()
        try cache.link(user: "42", vid: 1)
        XCTAssertEqual(try cache.resolve(user: "42")?.vid, 1)
        try other.link(user: "42", vid: 2)
        XCTAssertEqual(try cache.resolve(user: "42")?.vid, 2)
        XCTAssertGreaterThan(try cache.stats().syncs, 0)
    }

    func testAnErrorTellsItsCodeItsContactAndItsWords() throws {
        let cache = try open()
        try cache.link(user: "42", vid: 901)
        XCTAssertThrowsError(try cache.link(user: "43", vid: 901)) { error in
            guard let taken = error as? VidcacheError else { return XCTFail("\(error)") }
            XCTAssertEqual(taken.code, "vid_taken")
            XCTAssertEqual(taken.vid, 901)
            XCTAssertTrue(error.localizedDescription.contains("901"), error.localizedDescription)
        }
        let limited = Data(#"{"status":"error","category":"RATE_LIMITS","policyName":"TEN_SECONDLY_ROLLING"}"#.utf8)
        XCTAssertThrowsError(try cache.record(user: "42", answer: limited)) { error in
            XCTAssertEqual((error as? VidcacheError)?.code, "rate_limited")
            XCTAssertEqual((error as? VidcacheError)?.retryAfterMs, 10_000)
        }
    }

    func testAWebhookAndAnAnswerOfManyAreTakenIn() throws {
        let cache = try open()
        _ = try cache.record(user: "42", answer: Self.answer)
        XCTAssertEqual(try cache.observe(answer: Self.answer), Observed(contacts: [901], missing: []))
        let event = Data(
            #"""
            [{"eventId":1,"portalId":\#(Self.portal),"subscriptionType":"contact.propertyChange","objectId":901,
              "propertyName":"email","propertyValue":"ann@home.test","occurredAt":1793000000000}]
            """#.utf8
        )
        XCTAssertEqual(try cache.applyWebhook(body: event), WebhookReport(applied: 1, repeated: 0, ignored: 0))
        XCTAssertEqual(try cache.applyWebhook(body: event).repeated, 1)
        XCTAssertEqual(try cache.decide(user: "42", email: "ann@home.test").reason, "agreed")
    }

    func testSignatures() throws {
        func request(_ body: String, _ signature: String?) -> SignedRequest {
            SignedRequest(
                method: "POST", uri: "https://www.example.com/webhook_uri", body: Data(body.utf8),
                signatureV3: signature, timestamp: "1700000300000"
            )
        }
        let secret = Data("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy".utf8)
        let (body, signature) = ("{'example_field':'example_value'}", "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw=")
        try verifySignature(secret: secret, request: request(body, signature), nowMs: 1_700_000_300_000)
        for (wrong, now) in [(request(body, signature), 1_700_000_900_000), (request("", signature), 1_700_000_300_000),
                             (request(body, nil), 1_700_000_300_000)] as [(SignedRequest, Int64)] {
            fails("invalid_signature") { try verifySignature(secret: secret, request: wrong, nowMs: now) }
        }
        fails("invalid_option") {
            try verifySignature(secret: Data(), request: request(body, signature), nowMs: 1_700_000_300_000)
        }
    }

    func testAfterCloseEveryCallSaysSo() throws {
        let cache = try open()
        try cache.link(user: "42", vid: 1)
        XCTAssertEqual(try cache.resolve(user: "42")?.vid, 1)
        try cache.close()
        try cache.close()
        let event = Data(
            #"[{"eventId":1,"portalId":\#(Self.portal),"subscriptionType":"contact.deletion","objectId":901,"occurredAt":1793000000000}]"#.utf8
        )
        let calls: [() throws -> Any] = [
            { try cache.resolve(user: "42") as Any },
            { try cache.resolveMany(users: ["42"]) },
            { try cache.decide(user: "42", email: nil) },
            { try cache.decideMany(users: [DecisionRequest(user: "42", email: nil)]) },
            { try cache.snippet(user: "42", email: nil) },
            { try cache.pageData(user: "42", email: nil) },
            { try cache.quietPeriodMs() },
            { try cache.changeOutstandingSince(user: "42", change: 1) as Any },
            { try cache.link(user: "42", vid: 1) },
            { try cache.linkShared(user: "42", vid: 1) },
            { try cache.record(user: "42", answer: Self.answer) },
            { try cache.observe(answer: Self.answer) },
            { try cache.applyWebhook(body: event) },
            { try cache.importUsers(rows: [ImportRow(user: "1", vid: 1, email: nil, emailAtMs: 0)]) },
            { try cache.beginEmailChange(user: "42") },
            { try cache.abandonEmailChange(user: "42", change: 1) },
            { try cache.isChangeOutstanding(user: "42", change: 1) },
            { try cache.lease(user: "42", durationMs: 60_000, renew: nil) },
            { try cache.release(user: "42", lease: 1) },
            { try cache.staleChanges(olderThanMs: 0, limit: 10) },
            { try cache.explain(user: "42", email: nil) },
            { try cache.forget(user: "42") },
            { try cache.export(user: "42") },
            { try cache.verify() },
        ]
        for call in calls {
            fails("closed", call)
        }
        XCTAssertEqual(cache.portalId(), Self.portal)
        XCTAssertTrue(try cache.anonymousSnippet().contains("<script"))
    }

    func testAFileThatWillNotOpenIsMovedAsideAndOneInUseIsNot() throws {
        try String(repeating: "something else", count: 100).write(toFile: path, atomically: false, encoding: .utf8)
        fails("not_a_cache") { try self.open() }
        XCTAssertTrue(FileManager.default.fileExists(atPath: try moveAside(path: path)))
        XCTAssertFalse(FileManager.default.fileExists(atPath: path))
        var cache: Cache? = try open()
        XCTAssertEqual(cache?.portalId(), Self.portal)
        fails("busy") { try moveAside(path: self.path) }
        cache = nil // The last reference: the file is closed.
        _ = try moveAside(path: path)
        fails("cannot_open") { try moveAside(path: self.path) }
    }

    func testThreadsShareOne() throws {
        let cache = try open()
        try cache.link(user: "42", vid: 1)
        let wrong = Failures()
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            for number in 0..<(thread == 0 ? 300 : 10_000) {
                do {
                    if try cache.resolve(user: "42")?.vid != 1 { wrong.add("another contact") }
                    if thread == 0, number != 42 { try cache.link(user: String(number), vid: Int64(number) + 1000) }
                } catch {
                    wrong.add("\(error)")
                }
            }
        }
        XCTAssertEqual(wrong.texts, [])
        XCTAssertEqual(try cache.resolve(user: "299")?.vid, 1299)
    }
}

/// What went wrong in threads.
private final class Failures: @unchecked Sendable {
    private let lock = NSLock()
    private var found: [String] = []

    var texts: [String] { lock.withLock { found } }

    func add(_ text: String) {
        lock.withLock { found.append(text) }
    }
}
