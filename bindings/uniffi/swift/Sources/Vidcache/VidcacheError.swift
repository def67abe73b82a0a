import Foundation

extension VidcacheError {
    /// The stable name of the code: `invalid_user_key`, `busy`, …
    public var code: String {
        switch self {
        case let .Failed(code, _, _, _, _): return code
        }
    }

    /// The contact that the failure is about (`vid_taken`, `contact_conflict`).
    public var vid: Int64? {
        switch self {
        case let .Failed(_, _, _, vid, _): return vid
        }
    }

    /// `rate_limited`: how long the limit lasts at most, in milliseconds, where HubSpot's answer tells.
    public var retryAfterMs: UInt64? {
        switch self {
        case let .Failed(_, _, _, _, time): return time
        }
    }
}

extension VidcacheError: LocalizedError {
    /// What went wrong, for a person. No email, secret or value of an answer is in it.
    public var errorDescription: String? {
        switch self {
        case let .Failed(_, _, text, _, _): return text
        }
    }
}
