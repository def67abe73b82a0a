//! What is promised, in one place: every row of the table, and what it must not exceed.

/// A row of the table.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    /// `{rows}` stands for the size that was measured.
    pub(crate) what: &'static str,
    /// What the baseline is, where there is one.
    pub(crate) beside: &'static str,
    /// None: a figure for comparison. The first one is the row's own.
    pub(crate) checks: &'static [Check],
}

/// A bound on one number of a fact.
pub(crate) struct Check {
    /// The number's name in the fact.
    pub(crate) number: &'static str,
    pub(crate) label: &'static str,
    pub(crate) bound: Bound,
    pub(crate) unit: &'static str,
}

#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

use Bound::{AtLeast, AtMost};

const fn check(number: &'static str, label: &'static str, bound: Bound, unit: &'static str) -> Check {
    Check { number, label, bound, unit }
}

const fn row(id: &'static str, what: &'static str, beside: &'static str, checks: &'static [Check]) -> Row {
    Row { id, what, beside, checks }
}

const HASH: &str = "`Hash#[]`";
const DICT: &str = "`dict[]`";
const MAP: &str = "`HashMap.get`";

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row("rust_resolve_hit", "Rust `resolve`, from memory, integer key, 100,000 users", "bare hashbrown + foldhash",
        &[check("ratio", "", AtMost(2.0), "×")]),
    row("rust_resolve_in_turn", "the same, each look-up waiting for the last one's answer", "the same of hashbrown",
        &[check("ratio", "", AtMost(1.3), "×")]),
    row("rust_two_threads", "Rust `resolve`, from memory, two threads on one handle", "one thread",
        &[check("together", "together", AtLeast(1.6), "×")]),
    row("rust_decide", "Rust `decide`, with the email's fingerprint", "`resolve`",
        &[check("more_ns", "more by", AtMost(60.0), "ns")]),
    row("c_resolve", "C `vidcache_resolve`, from memory, 100,000 users", "Rust `resolve`",
        &[check("ratio", "", AtMost(1.5), "×")]),
    row("c_resolve_in_turn", "the same, each look-up waiting for the last one's answer", "Rust `resolve`, the same",
        &[check("ratio", "", AtMost(1.3), "×")]),
    row("c_snippet", "C `vidcache_snippet`, into a buffer of the caller's", "Rust `snippet`, a String", &[]),
    row("ruby_resolve_int", "Ruby `cache.resolve(Integer)`, from memory, 100,000 users", HASH,
        &[check("ratio", "", AtMost(1.0), "×")]),
    row("ruby_resolve_str", "Ruby `cache.resolve(String)`, a UUID, the same", HASH,
        &[check("ratio", "", AtMost(0.8), "×")]),
    row("ruby_beside_busy", "Ruby `cache.resolve(Integer)`, in a thread beside 3 that never pause", "",
        &[check("share", "of its share", AtLeast(0.8), "×")]),
    row("ruby_decide", "Ruby `cache.decide(Integer, email)`", "",
        &[check("median_ns", "", AtMost(500.0), "ns")]),
    row("ruby_snippet", "Ruby `cache.snippet`", "",
        &[check("median_ns", "", AtMost(1_500.0), "ns")]),
    row("rails_tracking_tag", "Rails `hubspot_tracking_tag`", "a partial with the snippet, written by hand",
        &[check("ratio", "", AtMost(0.5), "×"), check("median_ns", "", AtMost(4_000.0), "ns")]),
    row("rails_caches_told", "what its response says to caches besides, as it is committed", "", &[]),
    row("python_resolve_int", "Python `cache.resolve(int)`, from memory, 100,000 users", DICT,
        &[check("median_ns", "", AtMost(3_000.0), "ns")]),
    row("python_resolve_str", "Python `cache.resolve(str)`, a UUID, the same", DICT,
        &[check("median_ns", "", AtMost(3_000.0), "ns")]),
    row("python_resolve_many", "Python `cache.resolve_many` of 100 users, a key, integers", DICT,
        &[check("median_ns", "", AtMost(1_000.0), "ns")]),
    row("python_decide", "Python `cache.decide(int, email)`", "",
        &[check("median_ns", "", AtMost(4_000.0), "ns")]),
    row("python_snippet", "Python `cache.snippet`", "",
        &[check("median_ns", "", AtMost(8_000.0), "ns")]),
    row("kotlin_resolve_int", "Kotlin `cache.resolve(UserKey(Long))`, from memory, 100,000 users", MAP,
        &[check("median_ns", "", AtMost(5_000.0), "ns")]),
    row("kotlin_resolve_str", "Kotlin `cache.resolve(UserKey(String))`, a UUID, the same", MAP,
        &[check("median_ns", "", AtMost(5_000.0), "ns")]),
    row("kotlin_resolve_many", "Kotlin `cache.resolveMany` of 100 users, a key, integers", MAP, &[]),
    row("kotlin_decide", "Kotlin `cache.decide(UserKey, email)`", "", &[]),
    row("kotlin_snippet", "Kotlin `cache.snippet`", "", &[]),
    row("miss_1m", "Rust `resolve`, from the file, {rows} users", "the raw prepared SELECT",
        &[check("ratio", "", AtMost(1.3), "×")]),
    row("miss_10m", "Rust `resolve`, from the file, {rows} users", "the raw prepared SELECT",
        &[check("ratio", "", AtMost(1.3), "×")]),
    row("resolve_under_writes", "Rust `resolve` each millisecond while another process commits 1,000/s (`NORMAL`)", "a prepared SELECT",
        &[check("p50_us", "p50", AtMost(20.0), "µs"), check("p99_us", "p99", AtMost(90.0), "µs"),
          check("stale", "stale answers", AtMost(0.0), ""), check("per_s", "commits", AtLeast(950.0), "/s")]),
    row("write_full", "`link` of a user to another contact, acknowledged with `synchronous=FULL`, one writer", "a raw prepared upsert",
        &[check("rate", "rate", AtLeast(0.7), "×")]),
    row("write_full_first", "`link` of a new user, the same", "a raw prepared upsert", &[]),
    row("write_full_record", "`record` of an answer that names another contact, the same", "a raw prepared upsert", &[]),
    row("write_full_known", "`record` of an answer about the user's contact, with another email, the same", "a raw prepared upsert", &[]),
    row("write_8threads", "`link`, the same, 8 threads of one process writing together", "one thread",
        &[check("rate", "total rate", AtLeast(3.0), "×")]),
    row("write_4proc", "`link`, the same, 4 processes", "one process",
        &[check("longest_ms", "longest wait", AtMost(500.0), "ms"), check("rate", "total rate", AtLeast(0.8), "×")]),
    row("parse_webhook", "reading a webhook of 100 events, without applying it", "the same bytes into serde_json's `Value`",
        &[check("mb_per_s", "", AtLeast(200.0), "MB/s")]),
    row("parse_v3", "reading a v3 contact, the same", "the same bytes into serde_json's `Value`",
        &[check("median_ns", "", AtMost(5_000.0), "ns")]),
    row("bulk_int", "`import`, sorted integers with emails, {rows} users", "",
        &[check("rows_per_s", "", AtLeast(500_000.0), "rows/s"), check("grown_mib", "memory grown in the second half by", AtMost(8.0), "MiB")]),
    row("bulk_uuid", "`import`, random UUIDs with emails, {rows} users", "",
        &[check("rows_per_s", "", AtLeast(200_000.0), "rows/s"), check("grown_mib", "memory grown in the second half by", AtMost(8.0), "MiB")]),
    row("bytes_int", "size of the file, integer keys with emails, {rows} users", "",
        &[check("bytes", "", AtMost(64.0), "bytes/row")]),
    row("bytes_uuid", "size of the file, UUIDs with emails, {rows} users", "",
        &[check("bytes", "", AtMost(100.0), "bytes/row")]),
    row("open_first", "open and the first `resolve` in a new process, {rows} users", "",
        &[check("ms", "", AtMost(3.0), "ms"), check("mib", "memory", AtMost(3.0), "MiB")]),
];

/// What keeps a row from its target, for the rows of which that is known: said below the table where one misses it.
pub(crate) const LIMITS: &[(&str, &str)] = &[
    (
        "rust_resolve_hit",
        "Look-ups that need not wait for one another overlap in the processor, and those of bare hashbrown, which read one \
         place, overlap more than ours, which read the commit stamp and the generation of forks too. A page makes one \
         look-up and waits for it: that is the row below.",
    ),
    (
        "miss_1m",
        "Some 2,000 of the 8,600 instructions of such a look-up check the cells of each page that SQLite reads \
         (`cell_size_check`, docs/pragmas.md), which the SELECT beside it does without; 1,500 find the prepared statement \
         by its text.",
    ),
    ("miss_10m", "As with 1,000,000 users."),
    (
        "write_full",
        "Such a link writes both of the user's links, the user, the contact and the one before, an index of each and the \
         history, by which other processes hear of it: eight pages (`bin/bench --count`) where the upsert writes one.",
    ),
    (
        "write_8threads",
        "SQLite has one writer at a time, so threads that write together share the wait for the disk, and nothing else. \
         The faster the disk, the less that is: it was two fifths of a link on the machine that this was counted on.",
    ),
    (
        "bulk_uuid",
        "Random keys go all over the tree: 100,000 of them touch more than half of the leaves of one of 10,000,000, and \
         each page is written into the log and then into the file.",
    ),
    (
        "bytes_int",
        "17 to 20 bytes of a row are in the index that finds whom nobody has read for longest, by which reconcile and the \
         operators' page need no scan.",
    ),
    ("bytes_uuid", "The same index."),
];

/// What else could answer a look-up. For comparison, and for the chart.
pub(crate) struct Peer {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) from: From,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Ours,
    /// A bare table in one process: no other process's writes are seen. The limit.
    Bare,
    Peer,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum From {
    Rust,
    Ruby,
    Python,
    Kotlin,
}

impl From {
    pub(crate) const ALL: &[Self] = &[Self::Rust, Self::Ruby, Self::Python, Self::Kotlin];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Ruby => "Ruby",
            Self::Python => "Python",
            Self::Kotlin => "Kotlin",
        }
    }

    /// What its peers are beside.
    pub(crate) fn ours(self) -> &'static str {
        match self {
            Self::Rust => "rust_resolve_hit",
            Self::Ruby => "ruby_resolve_int",
            Self::Python => "python_resolve_int",
            Self::Kotlin => "kotlin_resolve_int",
        }
    }
}

const fn peer(id: &'static str, name: &'static str, kind: Kind, from: From) -> Peer {
    Peer { id, name, kind, from }
}

#[rustfmt::skip]
pub(crate) const PEERS: &[Peer] = &[
    peer("baseline_hashbrown", "hashbrown, bare", Kind::Bare, From::Rust),
    peer("rust_resolve_hit", "vidcache resolve", Kind::Ours, From::Rust),
    peer("peer_lmdb", "LMDB (heed)", Kind::Peer, From::Rust),
    peer("peer_redb", "redb", Kind::Peer, From::Rust),
    peer("peer_sqlite", "SQLite, prepared SELECT", Kind::Peer, From::Rust),
    peer("baseline_hash_int", "Hash#[]", Kind::Bare, From::Ruby),
    peer("ruby_resolve_int", "vidcache resolve", Kind::Ours, From::Ruby),
    peer("ruby_decide", "vidcache decide, with email", Kind::Ours, From::Ruby),
    peer("peer_lru_redux", "lru_redux, thread-safe", Kind::Peer, From::Ruby),
    peer("peer_sqlite3", "sqlite3 gem, prepared SELECT", Kind::Peer, From::Ruby),
    peer("peer_memory_store", "Rails.cache, MemoryStore", Kind::Peer, From::Ruby),
    peer("peer_redis", "redis-rb, unix socket", Kind::Peer, From::Ruby),
    peer("peer_dalli", "dalli, memcached, unix socket", Kind::Peer, From::Ruby),
    peer("peer_rails_cache_redis", "Rails.cache, Redis", Kind::Peer, From::Ruby),
    peer("peer_active_record_sqlite", "Active Record pick, SQLite", Kind::Peer, From::Ruby),
    peer("peer_active_record_postgresql", "Active Record pick, PostgreSQL", Kind::Peer, From::Ruby),
    peer("baseline_dict_int", "dict[]", Kind::Bare, From::Python),
    peer("python_resolve_int", "vidcache resolve", Kind::Ours, From::Python),
    peer("python_decide", "vidcache decide, with email", Kind::Ours, From::Python),
    peer("peer_python_sqlite3", "sqlite3, SELECT", Kind::Peer, From::Python),
    peer("peer_redis_py", "redis-py, unix socket", Kind::Peer, From::Python),
    peer("baseline_hashmap_int", "HashMap.get", Kind::Bare, From::Kotlin),
    peer("kotlin_resolve_int", "vidcache resolve", Kind::Ours, From::Kotlin),
    peer("kotlin_decide", "vidcache decide, with email", Kind::Ours, From::Kotlin),
    peer("peer_sqlite_jdbc", "SQLite through JDBC, prepared SELECT", Kind::Peer, From::Kotlin),
];
