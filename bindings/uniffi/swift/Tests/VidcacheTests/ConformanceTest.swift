import Foundation
import Vidcache
import XCTest

/// The cases of tests/conformance, which every language replays.
final class ConformanceTest: CacheTestCase {
    private static let cases = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../../../../tests/conformance").standardized

    private func read(_ name: String) throws -> JSON {
        try JSONDecoder().decode(JSON.self, from: Data(contentsOf: Self.cases.appendingPathComponent(name)))
    }

    func testCasesAndCodes() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.cases.path)
            .filter { $0.hasSuffix(".json") && $0 != "codes.json" }.sorted()
        XCTAssertFalse(names.isEmpty)
        let codes = try read("codes.json")
        var provoked: Set<String> = [], count = 0
        for name in names {
            for one in try read(name)["cases"].array {
                let place = "\(name): \(one["name"].text)"
                let runner = try Runner(folder: folder.appendingPathComponent("case \(count)"))
                defer { try? runner.cache.close() }
                count += 1
                for (number, step) in one["steps"].array.enumerated() {
                    runner.replay(step, "\(place), step \(number + 1)", codes)
                }
                provoked.formUnion(runner.provoked)
            }
        }
        for (code, said) in codes.object where said["because"] == .null {
            XCTAssertTrue(provoked.contains(code), "no case provokes \(code)")
        }
        print("conformance: \(count) cases replayed")
    }
}

private final class Runner {
    private(set) var cache: Cache
    private(set) var provoked: Set<String> = []
    private let folder: URL
    private var changes: [String: Int64] = [:]

    init(folder: URL) throws {
        self.folder = folder
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        cache = try Runner.open(.object([:]), folder)
    }

    func replay(_ step: JSON, _ place: String, _ codes: JSON) {
        guard [step["user"], step["email"]].allSatisfy({ $0["hex"] == .null || $0.asText != nil }) else {
            print("\(place): skipped because a String of Swift's is always UTF-8")
            return
        }
        let found: JSON
        do {
            found = try call(step)
        } catch let error as VidcacheError {
            guard case let .Failed(code, number, _, _, _) = error else { return }
            XCTAssertEqual(.string(code), step["fails"], "\(place): \(error)")
            XCTAssertEqual(.number(Int64(number)), codes[code]["number"], place)
            provoked.insert(code)
            return
        } catch {
            return XCTFail("\(place): \(error)")
        }
        XCTAssertEqual(step["fails"], .null, "\(place): it gave \(found)")
        guard case let .object(fields) = step, let expected = fields["gives"] else { return }
        switch (expected, found) {
        case let (.object(wanted), .string(text)):
            for part in wanted["has"]?.array ?? [] { XCTAssertTrue(text.contains(part.text), place) }
            for part in wanted["lacks"]?.array ?? [] { XCTAssertFalse(text.contains(part.text), place) }
        case let (.object(wanted), .object):
            for (name, value) in wanted { XCTAssertEqual(found[name], value, "\(place): \(name)") }
        default:
            XCTAssertEqual(found, expected, place)
        }
    }

    private func call(_ step: JSON) throws -> JSON {
        let user = step["user"].asText ?? "", email = step["email"].asText
        switch step["call"].text {
        case "open":
            try cache.close()
            cache = try Runner.open(step, folder)
        case "close":
            try cache.close()
        case "write":
            try Data(step["text"].text.utf8).write(to: file(step))
        case "patch":
            let handle = try FileHandle(forUpdating: file(step))
            try handle.seek(toOffset: UInt64(step["at"].number))
            try handle.write(contentsOf: step.bytes)
            try handle.close()
        case "resolve":
            let found = try cache.resolve(user: user)
            XCTAssertEqual(try cache.resolveMany(users: [user]), [found?.vid])
            return found.map { .object(["vid": .number($0.vid), "external_id": .optional($0.externalId)]) } ?? .null
        case "decide":
            let found = try cache.decide(user: user, email: email)
            XCTAssertEqual(try cache.decideMany(users: [DecisionRequest(user: user, email: email)]), [found])
            return .object(["email": .optional(found.email), "id": .optional(found.id), "reason": .string(found.reason)])
        case "snippet":
            let nonce = step["nonce"].asText
            if step["user"] == .null { return .string(try cache.anonymousSnippet(nonce: nonce)) }
            return .string(try cache.snippet(user: user, email: email, nonce: nonce))
        case "signed_out_snippet":
            return .string(try cache.signedOutSnippet(nonce: step["nonce"].asText))
        case "page_data":
            if step["user"] == .null { return try pageData(cache.anonymousPageData()) }
            return try pageData(cache.pageData(user: user, email: email))
        case "signed_out_page_data":
            return try pageData(cache.signedOutPageData())
        case "quiet_period":
            return .number(Int64(try cache.quietPeriodMs()))
        case "link":
            try cache.link(user: user, vid: step["vid"].number)
        case "link_shared":
            try cache.linkShared(user: user, vid: step["vid"].number)
        case "resolve_many":
            return .array(try cache.resolveMany(users: step["users"].array.map { $0.asText ?? "" }).map(JSON.optional))
        case "decide_many":
            let users = zip(step["users"].array, step["emails"].array)
            let asked = users.map { DecisionRequest(user: $0.asText ?? "", email: $1.asText) }
            return .array(try cache.decideMany(users: asked).map { .string($0.reason) })
        case "explain":
            let found = try cache.explain(user: user, email: email)
            return .string(([found.decision.reason] + found.sentences).joined(separator: "\n"))
        case "export":
            return .string(try cache.export(user: user))
        case "forget":
            return .bool(try cache.forget(user: user))
        case "record":
            let done = try cache.record(user: user, answer: body(step), change: change(step))
            return .object(["vid": .number(done.vid), "email_observed": .bool(done.emailObserved)])
        case "observe":
            let done = try cache.observe(answer: body(step))
            return .object(["contacts": .array(done.contacts.map(JSON.number)), "missing": .array(done.missing.map(JSON.number))])
        case "apply_webhook":
            let done = try cache.applyWebhook(body: body(step))
            return .counts(["applied": done.applied, "repeated": done.repeated, "ignored": done.ignored])
        case "begin_email_change":
            changes[step["as"].text] = try cache.beginEmailChange(user: user)
        case "abandon_email_change":
            try cache.abandonEmailChange(user: user, change: change(step) ?? 0)
        case "is_change_outstanding":
            return .bool(try cache.isChangeOutstanding(user: user, change: change(step) ?? 0))
        case "change_outstanding_since":
            let since = try cache.changeOutstandingSince(user: user, change: change(step) ?? 0)
            if let begun = since { XCTAssertTrue((-5..<60_000).contains(now() - begun), "\(begun)") }
            return .bool(since != nil)
        case "stale_changes":
            // The file's clock counts milliseconds.
            Thread.sleep(forTimeInterval: 0.002)
            return .array(try cache.staleChanges(olderThanMs: 0, limit: 100).map { .string($0.user) })
        case "import":
            let done = try cache.importUsers(rows: step["rows"].array.map { row in
                let at = row["at"] == .null ? 0 : row["at"].number
                return ImportRow(user: row["user"].asText ?? "", vid: row["vid"].number, email: row["email"].asText, emailAtMs: at)
            })
            return .counts(["imported": done.imported, "vid_taken": done.vidTaken])
        case "verify":
            return .number(Int64(try cache.verify().count))
        case let other:
            XCTFail("no such call: \(other)")
        }
        return .null
    }

    private static func open(_ step: JSON, _ folder: URL) throws -> Cache {
        var secret: Data? = CacheTestCase.secret, deadline: UInt64?
        if case let .object(fields) = step {
            if let given = fields["secret"] { secret = given.asText.map { Data($0.utf8) } }
            if let time = fields["page_deadline_ms"] { deadline = UInt64(time.number) }
        }
        let path = folder.appendingPathComponent(step["file"].asText ?? "cache").path
        let portal = step["portal"] == .null ? CacheTestCase.portal : step["portal"].number
        return try Cache(path: path, portalId: portal, options: OpenOptions(secret: secret, pageDeadlineMs: deadline))
    }

    private func now() -> Int64 {
        Int64(Date().timeIntervalSince1970 * 1000)
    }

    /// A page's data, which is of this moment.
    private func pageData(_ text: String) throws -> JSON {
        let data = try JSONDecoder().decode(JSON.self, from: Data(text.utf8))
        // The clocks may round differently.
        XCTAssertTrue((-5..<60_000).contains(now() - data["at"].number), text)
        XCTAssertGreaterThan(data["ttl"].number, 0)
        return data
    }

    private func file(_ step: JSON) -> URL {
        folder.appendingPathComponent(step["file"].text)
    }

    private func change(_ step: JSON) -> Int64? {
        if case let .string(name) = step["change"] { return changes[name] }
        return step["change"] == .null ? nil : step["change"].number
    }

    private func body(_ step: JSON) throws -> Data {
        if step["answer"] != .null { return try JSONEncoder().encode(step["answer"]) }
        return step["body"]["hex"] == .null ? Data((step["body"].asText ?? "").utf8) : step["body"].bytes
    }
}
