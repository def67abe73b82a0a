//! Whether the index is that of the log: somebody may write over the one or the other in place (`cp` of an old copy),
//! or cut it to nothing.
//!
//! SQLite believes an index whose header has the right checksum, and an old copy's has. A writer that believed one
//! would put its frames over acknowledged ones. So whoever has the turnstile compares: the log has to have the frame
//! that the index calls the last one, and no later transaction that is whole. Formats:
//! <https://sqlite.org/walformat.html> ("WAL-Index File Format") and <https://sqlite.org/fileformat2.html#walformat>.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What SQLite maps at once.
pub(super) const REGION: u64 = 32 * 1024;
/// The index's header, which is there twice.
const INDEX_HEADER: usize = 48;
/// The frames of the first region; every other one has 4,096.
const FRAMES_OF_FIRST: u64 = 4_062;
const FRAMES_OF_OTHER: u64 = 4_096;
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
/// How a log begins, but for the last bit, which says how its checksums are made.
const MAGIC: u32 = 0x377f_0682;

/// What an index is to a log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Index {
    /// The index of this log. One with a header that SQLite does not believe counts as such: SQLite makes it anew.
    Own,
    /// The index as it was some transactions ago: an older copy, or the writer of the last one was killed before the
    /// index had it.
    Behind,
    /// An index of another log, or of what this one was before; or one that is shorter than what it says.
    Foreign,
}

/// What `index` is to `log`. The caller keeps everybody from committing meanwhile.
pub(super) fn compare(index: &File, log: &File) -> io::Result<Index> {
    let length = index.metadata()?.len();
    if length < REGION {
        return Ok(Index::Foreign);
    }
    let mut twice = [0; 2 * INDEX_HEADER];
    index.read_exact_at(&mut twice, 0)?;
    let Some(header) = Header::of(&twice) else { return Ok(Index::Own) };
    let regions = 1 + header.last.saturating_sub(FRAMES_OF_FIRST).div_ceil(FRAMES_OF_OTHER);
    if length < regions * REGION {
        return Ok(Index::Foreign);
    }
    let log = Log { file: log, length: log.metadata()?.len(), page: header.page, big_endian: header.big_endian };
    if header.last > 0 {
        // Frames of a log before may stand where they stood, behind those of the one that was begun anew.
        let Some((salt, _)) = log.header()?.filter(|(salt, _)| *salt == header.salt) else {
            return Ok(Index::Foreign);
        };
        return match log.frame(header.last)? {
            Some(last) if last.salt == salt && last.sum == header.sum => log.is_its(header.last, salt, last.sum),
            _ => Ok(Index::Foreign),
        };
    }
    let Some((salt, sum)) = log.header()? else { return Ok(Index::Own) };
    // The next writer begins the log anew, with a first salt that is one more: all that is in it is in the database.
    if first_of(header.salt) == first_of(salt).wrapping_add(1) {
        return Ok(Index::Own);
    }
    if header.salt == salt { log.is_its(0, salt, sum) } else { Ok(Index::Foreign) }
}

type Salt = [u8; 8];
type Sum = (u32, u32);

fn first_of(salt: Salt) -> u32 {
    big(&salt)
}

/// What the index says.
struct Header {
    /// The last frame; 0 if there is none.
    last: u64,
    page: u64,
    salt: Salt,
    sum: Sum,
    big_endian: bool,
}

impl Header {
    /// `None`: SQLite would not believe it.
    fn of(twice: &[u8; 2 * INDEX_HEADER]) -> Option<Self> {
        let (one, two) = twice.split_at(INDEX_HEADER);
        let word = |at: usize| u32::from_ne_bytes([one[at], one[at + 1], one[at + 2], one[at + 3]]);
        let is_native = cfg!(target_endian = "big");
        if one != two || one[12] == 0 || checksum((0, 0), &one[..40], is_native) != (word(40), word(44)) {
            return None;
        }
        let page = u64::from(u16::from_ne_bytes([one[14], one[15]]));
        Some(Self {
            last: u64::from(word(16)),
            page: if page == 1 { 1 << 16 } else { page },
            sum: (word(24), word(28)),
            salt: one[32..40].try_into().ok()?,
            big_endian: one[13] != 0,
        })
    }
}

struct Log<'a> {
    file: &'a File,
    length: u64,
    page: u64,
    big_endian: bool,
}

struct Frame {
    /// What the checksum is of, before the page.
    begin: [u8; 8],
    salt: Salt,
    sum: Sum,
}

impl Log<'_> {
    /// The salt of its frames, and the checksum that the first one's goes on from. `None`: there is no frame.
    fn header(&self) -> io::Result<Option<(Salt, Sum)>> {
        if self.length < LOG_HEADER + FRAME_HEADER + self.page {
            return Ok(None);
        }
        let mut header = [0; LOG_HEADER as usize];
        self.file.read_exact_at(&mut header, 0)?;
        let sum = (big(&header[24..]), big(&header[28..]));
        let magic = big(&header);
        if magic & !1 != MAGIC || checksum((0, 0), &header[..24], magic & 1 != 0) != sum {
            return Ok(None);
        }
        let mut salt = [0; 8];
        salt.copy_from_slice(&header[16..24]);
        Ok(Some((salt, sum)))
    }

    fn at(&self, frame: u64) -> u64 {
        LOG_HEADER + (frame - 1) * (FRAME_HEADER + self.page)
    }

    /// The frame of this number, from 1, if the log is that long.
    fn frame(&self, number: u64) -> io::Result<Option<Frame>> {
        if self.length < self.at(number + 1) {
            return Ok(None);
        }
        let mut found = [0; FRAME_HEADER as usize];
        self.file.read_exact_at(&mut found, self.at(number))?;
        let (mut begin, mut salt) = ([0; 8], [0; 8]);
        begin.copy_from_slice(&found[..8]);
        salt.copy_from_slice(&found[8..16]);
        Ok(Some(Frame { begin, salt, sum: (big(&found[16..]), big(&found[20..])) }))
    }

    /// What an index is that ends with this frame.
    fn is_its(&self, last: u64, salt: Salt, sum: Sum) -> io::Result<Index> {
        Ok(if self.goes_on(last, salt, sum)? { Index::Behind } else { Index::Own })
    }

    /// Whether a whole transaction comes after this frame. What a writer left that was killed before its commit, or
    /// what is left of a log before, is none.
    fn goes_on(&self, after: u64, salt: Salt, mut sum: Sum) -> io::Result<bool> {
        let mut page = Vec::new();
        let mut number = after + 1;
        while let Some(frame) = self.frame(number)?.filter(|frame| frame.salt == salt) {
            page.resize(self.page as usize, 0);
            self.file.read_exact_at(&mut page, self.at(number) + FRAME_HEADER)?;
            sum = checksum(checksum(sum, &frame.begin, self.big_endian), &page, self.big_endian);
            if sum != frame.sum {
                return Ok(false);
            }
            // The database's size after the commit: only the last frame of a transaction has one.
            if big(&frame.begin[4..]) != 0 {
                return Ok(true);
            }
            number += 1;
        }
        Ok(false)
    }
}

/// SQLite's checksum, going on from `sum`. The bytes are a multiple of 8.
fn checksum(sum: Sum, bytes: &[u8], big_endian: bool) -> Sum {
    let word = |bytes: &[u8]| {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    bytes.chunks_exact(8).fold(sum, |(one, two), pair| {
        let one = one.wrapping_add(word(pair)).wrapping_add(two);
        (one, two.wrapping_add(word(&pair[4..])).wrapping_add(one))
    })
}

fn big(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rusqlite::Connection;

    use super::*;
    use crate::file::names::{INDEX, LOG, beside};

    struct Copies {
        what: &'static str,
        index: File,
        log: File,
    }

    impl Copies {
        fn of(what: &'static str, path: &Path) -> Self {
            let copy = |suffix| {
                let of = fs::read(beside(path, suffix)).unwrap();
                let copy = tempfile::tempfile().unwrap();
                copy.write_all_at(&of, 0).unwrap();
                copy
            };
            Self { what, index: copy(INDEX), log: copy(LOG) }
        }
    }

    fn database(dir: &Path) -> (Connection, std::path::PathBuf) {
        let path = dir.join("x");
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a BLOB)").unwrap();
        (db, path)
    }

    fn insert(db: &Connection, pages: i64) {
        let tx = db.unchecked_transaction().unwrap();
        for _ in 0..pages {
            tx.execute("INSERT INTO t VALUES (zeroblob(4000))", []).unwrap();
        }
        tx.commit().unwrap();
    }

    fn checkpoint(db: &Connection, how: &str) {
        db.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(())).unwrap();
    }

    #[test]
    fn an_index_agrees_with_the_log_of_its_moment_and_with_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (db, path) = database(dir.path());
        let mut copies = Vec::new();
        let mut keep = |what| copies.push(Copies::of(what, &path));
        insert(&db, 1);
        keep("a few frames");
        insert(&db, 5);
        keep("more frames");
        checkpoint(&db, "PASSIVE");
        insert(&db, 1);
        keep("the log begun anew");
        insert(&db, 9_000);
        keep("three regions");
        checkpoint(&db, "TRUNCATE");
        keep("an empty log");
        insert(&db, 2);
        keep("after the empty log");
        for index in &copies {
            for log in &copies {
                let expected = match (index.what, log.what) {
                    (index, log) if index == log => Index::Own,
                    ("a few frames", "more frames") | ("the log begun anew", "three regions") => Index::Behind,
                    ("an empty log", "after the empty log") => Index::Behind,
                    // The index was made when all of that log was in the database already.
                    ("an empty log", "the log begun anew" | "three regions") => Index::Own,
                    _ => Index::Foreign,
                };
                assert_eq!(compare(&index.index, &log.log).unwrap(), expected, "{} of {}", index.what, log.what);
            }
        }
    }

    #[test]
    fn an_index_that_was_cut_agrees_with_no_log() {
        let dir = tempfile::tempdir().unwrap();
        let (db, path) = database(dir.path());
        insert(&db, 9_000);
        let Copies { index, log, .. } = Copies::of("", &path);
        assert_eq!(index.metadata().unwrap().len(), 3 * REGION);
        assert_eq!(compare(&index, &log).unwrap(), Index::Own);
        for length in [3 * REGION - 1, 2 * REGION, REGION, REGION - 1, 96, 0] {
            index.set_len(length).unwrap();
            assert_eq!(compare(&index, &log).unwrap(), Index::Foreign, "{length}");
        }
    }

    #[test]
    fn what_a_writer_left_that_was_killed_before_its_commit_is_no_transaction() {
        let dir = tempfile::tempdir().unwrap();
        let (db, path) = database(dir.path());
        insert(&db, 3);
        let before = Copies::of("", &path);
        insert(&db, 3);
        let after = Copies::of("", &path);
        let compared = || compare(&before.index, &after.log).unwrap();
        assert_eq!(compared(), Index::Behind, "all of it");
        let (length, whole) = (after.log.metadata().unwrap().len(), before.log.metadata().unwrap().len());
        after.log.set_len(length - 1).unwrap();
        assert_eq!(compared(), Index::Own, "cut");
        after.log.set_len(length).unwrap();
        after.log.write_all_at(b"another page", whole + FRAME_HEADER + 100).unwrap();
        assert_eq!(compared(), Index::Own, "torn");
    }
}
