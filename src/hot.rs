//! The in-process table: a user's state at the price of a hash look-up, for any number of threads.
//!
//! The table itself knows nothing of SQLite. It answers what was put in; whether that is still
//! current is the commit stamp's business (`store::stamp`), which `store` asks first.
//!
//! # Shape
//! Buckets of one cache line, four integer keys or two 128-bit keys each, found by double
//! hashing. What `resolve` needs, key and vid, is in the line; the fingerprints are in a second array at the same
//! place, and what few users have in a third. A look-up touches one line, a decision two.
//!
//! Most of a look-up is that line's way from the cache that the processor's cores share, or from memory when others
//! have filled it. So the lines are packed: vids take 48 bits, and 100,000 integer keys 2 MiB, as in a bare hash
//! table. With three whole vids to a line it was 4 MiB: as fast on a quiet machine, and beside busy neighbours 60
//! to 90 ns instead of 34.
//!
//! # Readers and the writer
//! Each bucket is a seqlock: one writer at a time (the caller holds a mutex), readers never wait and write
//! nothing but a "used" mark that is already set when the entry is hot. A reader that meets a writer
//! gets no answer and takes the slow path, so a torn entry is never returned. Measured before building:
//! two threads do 2.1 × the look-ups of one here, 0.7 × through a mutex.

mod pages;

#[cfg(any(test, feature = "database"))]
use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::hint::select_unpredictable;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use siphasher::sip128::SipHasher24;

use self::pages::{Pages, Zeroed};
use crate::decision::UserState;
use crate::email::Fingerprint;
use crate::error::{Error, Result};
use crate::identity::{Identity, Repr, UserKey, Vid};
use crate::sequence::Sequence;

/// How many buckets a key may be in.
const PROBES: usize = 16;
/// What a table starts with, and goes back to when it is cleared.
const FIRST_BUCKETS: usize = 256;

/// Both tables: integer keys as they are, UUIDs and text as 128 bits.
pub(crate) struct Hot {
    bytes: usize,
    ints: Table<1, 4>,
    wide: Table<2, 2>,
    /// Turns a text key into 128 bits. Keyed at random, so nobody can choose two keys that meet.
    text: SipHasher24,
}

impl Hot {
    /// A table of at most `bytes` bytes. Memory is taken from the system as entries come in.
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|e| Error::Storage(format!("no random numbers: {e}")))?;
        // An app has keys of one kind, so either table alone may have it all.
        Ok(Self { bytes, ints: Table::new(bytes)?, wide: Table::new(bytes)?, text: SipHasher24::new_with_key(&key) })
    }

    /// Which contact the user was, when last put in.
    // The key is matched where it is. Copied first, it is written in pieces and read as a whole, which stalled each
    // look-up for 15 ns.
    #[inline]
    pub(crate) fn identity(&self, user: &UserKey<'_>) -> Option<Option<Identity>> {
        if let Repr::Int(id) = user.repr() {
            // Both parts are returned by value. An answer that is put together in memory would be read before its
            // stores have arrived there, and wait for them.
            let (head, tail) = self.ints.find([*id as u64], |entry| entry.head_and_tail())?;
            return Some(Packed::identity(head, tail));
        }
        self.identity_of_wide(user)
    }

    #[inline(never)]
    fn identity_of_wide(&self, user: &UserKey<'_>) -> Option<Option<Identity>> {
        match user.repr() {
            Repr::Int(_) => None,
            Repr::Uuid(bytes) => self.wide.find(words(bytes), |entry| entry.identity()),
            Repr::Text(text) => self.wide.find(self.text_key(text), |entry| entry.identity()),
        }
    }

    /// The user's state, when last put in.
    #[inline]
    pub(crate) fn state(&self, user: &UserKey<'_>) -> Option<UserState> {
        match user.repr() {
            Repr::Int(id) => self.ints.find([*id as u64], |entry| entry.state()),
            Repr::Uuid(bytes) => self.wide.find(words(bytes), |entry| entry.state()),
            Repr::Text(text) => self.wide.find(self.text_key(text), |entry| entry.state()),
        }
    }

    /// Puts a user's state in, in place of what was there. One caller at a time.
    pub(crate) fn put(&self, user: UserKey<'_>, state: &UserState) {
        let Some(packed) = Packed::new(state) else { return self.remove(user) };
        let wide = |key| self.wide.put(key, packed, self.bytes.saturating_sub(self.ints.bytes()));
        match user.repr() {
            Repr::Int(id) => self.ints.put([*id as u64], packed, self.bytes.saturating_sub(self.wide.bytes())),
            Repr::Uuid(bytes) => wide(words(bytes)),
            Repr::Text(text) => wide(self.text_key(text)),
        }
    }

    /// Takes a user out. One caller at a time.
    pub(crate) fn remove(&self, user: UserKey<'_>) {
        match user.repr() {
            Repr::Int(id) => self.ints.remove([*id as u64]),
            Repr::Uuid(bytes) => self.wide.remove(words(bytes)),
            Repr::Text(text) => self.wide.remove(self.text_key(text)),
        }
    }

    /// Takes those out who are one of these contacts, for which it goes through all of the table. One caller at a time.
    #[cfg(any(test, feature = "database"))]
    pub(crate) fn remove_contacts(&self, vids: &BTreeSet<i64>) {
        let vids: HashSet<u64, RandomState> = vids.iter().map(|vid| *vid as u64).collect();
        if !vids.is_empty() {
            self.ints.remove_all(|head| vids.contains(&(head & !SEE_TAIL)));
            self.wide.remove_all(|head| vids.contains(&(head & !SEE_TAIL)));
        }
    }

    /// Takes everybody out. One caller at a time.
    pub(crate) fn clear(&self) {
        self.ints.clear();
        self.wide.clear();
    }

    /// How many users are in it, how many bytes they and the room beside them take, and how many users were
    /// put out to make room.
    pub(crate) fn size(&self) -> (usize, usize, u64) {
        let (ints, wide) = (&self.ints, &self.wide);
        let evictions = ints.evictions.load(Ordering::Relaxed) + wide.evictions.load(Ordering::Relaxed);
        (ints.len() + wide.len(), ints.bytes() + wide.bytes(), evictions)
    }

    fn text_key(&self, text: &str) -> [u64; 2] {
        let hash = self.text.hash(text.as_bytes());
        [hash.h1, hash.h2]
    }
}

fn words(bytes: &[u8; 16]) -> [u64; 2] {
    let both = u128::from_ne_bytes(*bytes);
    [both as u64, (both >> 64) as u64]
}

/// A user's state. `head` holds the vid in its low 47 bits; [`SEE_TAIL`] says that `tail` must be looked at even to
/// resolve: there is no vid, or the external id differs from it, or a change is outstanding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Packed {
    head: u64,
    print: [u64; 2],
    /// The external id in the low 63 bits, zero for none; the top bit: a change is outstanding.
    tail: u64,
}

/// The top one of a head's 48 bits.
const SEE_TAIL: u64 = 1 << 47;
const CHANGING: u64 = 1 << 63;

impl Packed {
    /// `None`: the vid is too large for the table, and the user is read from the file each time. HubSpot gives its ids
    /// in order, and is at some 2^37.
    fn new(state: &UserState) -> Option<Self> {
        // A fingerprint of all zeros would read as "none", which says less and not something wrong.
        let print = state.confirmed.map_or([0; 2], |print| words(&print.0));
        let changing = if state.changing { CHANGING } else { 0 };
        let (vid, external_id) = match state.identity {
            None => (0, 0),
            Some(Identity { vid, external_id }) => (vid.get() as u64, external_id.map_or(0, Vid::get) as u64),
        };
        let see_tail = if vid == 0 || external_id != vid || state.changing { SEE_TAIL } else { 0 };
        (vid < SEE_TAIL).then_some(Self { head: vid | see_tail, print, tail: external_id | changing })
    }

    fn identity(head: u64, tail: u64) -> Option<Identity> {
        let vid = Vid::new((head & !SEE_TAIL) as i64)?;
        Some(Identity { vid, external_id: Vid::new((tail & !CHANGING) as i64) })
    }
}

/// One cache line. All zeros is an empty bucket.
#[repr(C, align(64))]
struct Bucket<const WORDS: usize, const WAYS: usize> {
    /// Odd while the writer is in the bucket.
    sequence: Sequence,
    /// How many are here, in the first ways.
    len: AtomicU8,
    /// A bit for each way: the entry was read since eviction last looked. Threads may undo one another's.
    used: AtomicU8,
    /// Not zero once a key went past this bucket because it was full.
    spilled: AtomicU8,
    keys: [[AtomicU64; WORDS]; WAYS],
    /// `Packed::head`, its low 32 bits and the other 16.
    lows: [AtomicU32; WAYS],
    highs: [AtomicU16; WAYS],
}

// SAFETY: atomics of integers, and arrays of them.
unsafe impl<const WORDS: usize, const WAYS: usize> Zeroed for Bucket<WORDS, WAYS> {}

type Prints<const WAYS: usize> = [[AtomicU64; 2]; WAYS];
type Tails<const WAYS: usize> = [AtomicU64; WAYS];

/// Where an entry is, for one that reads it.
struct Entry<'a, const WORDS: usize, const WAYS: usize> {
    table: &'a Table<WORDS, WAYS>,
    at: usize,
    way: usize,
    head: u64,
}

impl<const WORDS: usize, const WAYS: usize> Entry<'_, WORDS, WAYS> {
    #[inline]
    fn head_and_tail(self) -> (u64, u64) {
        // The usual case needs the bucket's line only.
        (self.head, if self.head & SEE_TAIL == 0 { self.head } else { self.tail() })
    }

    #[inline]
    fn identity(self) -> Option<Identity> {
        let (head, tail) = self.head_and_tail();
        Packed::identity(head, tail)
    }

    #[inline]
    fn state(self) -> UserState {
        let print = self.print();
        let (head, tail) = self.head_and_tail();
        let bytes = (u128::from(print[0]) | u128::from(print[1]) << 64).to_ne_bytes();
        UserState {
            identity: Packed::identity(head, tail),
            confirmed: (print != [0; 2]).then_some(Fingerprint(bytes)),
            changing: tail & CHANGING != 0,
        }
    }

    fn packed(self) -> Packed {
        Packed { head: self.head, print: self.print(), tail: self.tail() }
    }

    #[inline]
    fn print(&self) -> [u64; 2] {
        self.table.prints[self.at][self.way].each_ref().map(|word| word.load(Ordering::Relaxed))
    }

    #[inline]
    fn tail(&self) -> u64 {
        self.table.tails[self.at][self.way].load(Ordering::Relaxed)
    }
}

struct Table<const WORDS: usize, const WAYS: usize> {
    buckets: Pages<Bucket<WORDS, WAYS>>,
    prints: Pages<Prints<WAYS>>,
    tails: Pages<Tails<WAYS>>,
    /// One less than the number of buckets in use, a power of two.
    mask: AtomicUsize,
    len: AtomicUsize,
    evictions: AtomicU64,
    hash: RandomState,
}

impl<const WORDS: usize, const WAYS: usize> Table<WORDS, WAYS> {
    const BUCKET_BYTES: usize = size_of::<Bucket<WORDS, WAYS>>() + size_of::<Prints<WAYS>>() + size_of::<Tails<WAYS>>();

    /// How full it gets before it grows, in fifths. In fewer ways, keys meet sooner.
    const FULL_FIFTHS: usize = if WAYS >= 4 { 4 } else { 3 };

    fn new(bytes: usize) -> Result<Self> {
        let most = (bytes / Self::BUCKET_BYTES + 1).next_power_of_two() / 2;
        let most = most.max(PROBES);
        Ok(Self {
            buckets: Pages::new(most)?,
            prints: Pages::new(most)?,
            tails: Pages::new(most)?,
            mask: AtomicUsize::new(FIRST_BUCKETS.min(most / 2).max(PROBES) - 1),
            len: AtomicUsize::new(0),
            evictions: AtomicU64::new(0),
            hash: RandomState::default(),
        })
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> usize {
        (self.mask.load(Ordering::Relaxed) + 1) * Self::BUCKET_BYTES
    }

    /// Where a key's search begins, and its stride. Each key has a stride of its own: with neighbours in turn,
    /// full buckets run together and many more keys find no place.
    #[inline]
    fn path(&self, key: [u64; WORDS]) -> (usize, usize) {
        // Word by word: as an array it would be hashed as bytes, in twice the time.
        let mut hasher = self.hash.build_hasher();
        key.iter().for_each(|word| hasher.write_u64(*word));
        let hash = hasher.finish();
        (hash as usize, (hash >> 32) as usize | 1)
    }

    /// Reads an entry, if it is there and nobody is writing to its bucket.
    #[inline]
    fn find<T>(&self, key: [u64; WORDS], read: impl Fn(Entry<'_, WORDS, WAYS>) -> T) -> Option<T> {
        let (home, stride) = self.path(key);
        let mask = self.mask.load(Ordering::Acquire);
        let mut at = home & mask;
        for _ in 0..PROBES {
            let bucket = &self.buckets[at];
            let before = bucket.sequence.begin();
            if let Some(way) = bucket.way_of(key) {
                let value = read(self.entry(at, way));
                if !bucket.sequence.is_unchanged(before) {
                    return None;
                }
                let used = bucket.used.load(Ordering::Relaxed);
                if used & 1 << way == 0 {
                    bucket.used.store(used | 1 << way, Ordering::Relaxed);
                }
                return Some(value);
            }
            if bucket.spilled.load(Ordering::Relaxed) == 0 {
                return None;
            }
            at = at.wrapping_add(stride) & mask;
        }
        None
    }

    /// Puts an entry in, and grows up to `room` bytes for it.
    fn put(&self, key: [u64; WORDS], packed: Packed, room: usize) {
        let used = self.mask.load(Ordering::Relaxed) + 1;
        if self.len() * 5 > used * WAYS * Self::FULL_FIFTHS
            && self.bytes() * 2 <= room
            && used * 2 <= self.buckets.len()
        {
            self.grow();
        }
        self.insert(key, packed);
    }

    fn insert(&self, key: [u64; WORDS], packed: Packed) {
        let place = match self.place_of(key) {
            Some(place) => place,
            None => {
                let place = self.free_place(key).unwrap_or_else(|| self.evict(key));
                self.len.fetch_add(1, Ordering::Relaxed);
                place
            }
        };
        self.write(place, key, packed);
    }

    fn remove(&self, key: [u64; WORDS]) {
        let Some((at, way)) = self.place_of(key) else { return };
        let bucket = &self.buckets[at];
        // The last one takes the place.
        let last = bucket.len() - 1;
        if way < last {
            let used = bucket.used.load(Ordering::Relaxed) & 1 << last != 0;
            self.write((at, way), bucket.key(last), self.entry(at, last).packed());
            bucket.used.fetch_or(u8::from(used) << way, Ordering::Relaxed);
        }
        bucket.sequence.write(|| bucket.len.store(last as u8, Ordering::Relaxed));
        self.len.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes all entries out whose head is meant.
    #[cfg(any(test, feature = "database"))]
    fn remove_all(&self, is_meant: impl Fn(u64) -> bool) {
        for at in 0..=self.mask.load(Ordering::Relaxed) {
            // From the last one on: the one that takes its place stays.
            for way in (0..self.buckets[at].len()).rev() {
                if is_meant(self.buckets[at].head(way)) {
                    self.remove(self.buckets[at].key(way));
                }
            }
        }
    }

    fn clear(&self) {
        let used = self.mask.load(Ordering::Relaxed) + 1;
        let first = FIRST_BUCKETS.min(used);
        // The rest is wiped when the table grows into it again.
        self.mask.store(first - 1, Ordering::Release);
        self.wipe(0..first);
        self.len.store(0, Ordering::Relaxed);
    }

    /// Doubles the table. Readers find little in it meanwhile, and nothing wrong.
    fn grow(&self) {
        let used = self.mask.load(Ordering::Relaxed) + 1;
        let mut all = Vec::with_capacity(self.len());
        for at in 0..used {
            for way in 0..self.buckets[at].len() {
                all.push((self.buckets[at].key(way), self.entry(at, way).packed()));
            }
        }
        self.wipe(0..used * 2);
        self.len.store(0, Ordering::Relaxed);
        self.mask.store(used * 2 - 1, Ordering::Release);
        for (key, packed) in all {
            self.insert(key, packed);
        }
        self.buckets.prefer_huge(used * 2);
        self.prints.prefer_huge(used * 2);
    }

    fn wipe(&self, buckets: std::ops::Range<usize>) {
        for bucket in &self.buckets[buckets] {
            // A bucket that was never touched stays so, and takes no memory.
            if bucket.len() > 0 {
                bucket.sequence.write(|| bucket.len.store(0, Ordering::Relaxed));
            }
            if bucket.spilled.load(Ordering::Relaxed) != 0 {
                bucket.spilled.store(0, Ordering::Relaxed);
            }
        }
    }

    #[inline]
    fn entry(&self, at: usize, way: usize) -> Entry<'_, WORDS, WAYS> {
        Entry { table: self, at, way, head: self.buckets[at].head(way) }
    }

    /// The buckets a key may be in, nearest first.
    fn places(&self, key: [u64; WORDS]) -> impl Iterator<Item = usize> + Clone {
        let ((home, stride), mask) = (self.path(key), self.mask.load(Ordering::Relaxed));
        (0..PROBES).map(move |i| home.wrapping_add(stride.wrapping_mul(i)) & mask)
    }

    fn place_of(&self, key: [u64; WORDS]) -> Option<(usize, usize)> {
        self.places(key).find_map(|at| Some((at, self.buckets[at].way_of(key)?)))
    }

    fn free_place(&self, key: [u64; WORDS]) -> Option<(usize, usize)> {
        for at in self.places(key) {
            let bucket = &self.buckets[at];
            if bucket.len() < WAYS {
                return Some((at, bucket.len()));
            }
            bucket.spilled.store(1, Ordering::Relaxed);
        }
        None
    }

    /// Makes room in a full window: the first entry that was not read since the last time, or, where all were,
    /// any, and all must be read again to stay.
    fn evict(&self, key: [u64; WORDS]) -> (usize, usize) {
        let turn = self.evictions.fetch_add(1, Ordering::Relaxed) as usize;
        self.len.fetch_sub(1, Ordering::Relaxed);
        let places = self.places(key).flat_map(|at| (0..WAYS).map(move |way| (at, way)));
        // Start elsewhere each time, so that the last one put in is not the first one put out.
        let start = turn % (PROBES * WAYS);
        let unused = |&(at, way): &(usize, usize)| {
            let used = &self.buckets[at].used;
            used.fetch_and(!(1 << way), Ordering::Relaxed) & 1 << way == 0
        };
        let mut around = places.clone().cycle().skip(start).take(PROBES * WAYS);
        around.find(unused).or_else(|| places.clone().nth(start)).expect("a window has places")
    }

    /// Writes one entry.
    fn write(&self, (at, way): (usize, usize), key: [u64; WORDS], Packed { head, print, tail }: Packed) {
        let bucket = &self.buckets[at];
        bucket.sequence.write(|| {
            for (slot, word) in bucket.keys[way].iter().zip(key) {
                slot.store(word, Ordering::Relaxed);
            }
            bucket.lows[way].store(head as u32, Ordering::Relaxed);
            bucket.highs[way].store((head >> 32) as u16, Ordering::Relaxed);
            for (slot, word) in self.prints[at][way].iter().zip(print) {
                slot.store(word, Ordering::Relaxed);
            }
            self.tails[at][way].store(tail, Ordering::Relaxed);
            // New entries start unused: one that is never read again is the first to go.
            bucket.used.fetch_and(!(1 << way), Ordering::Relaxed);
            bucket.len.fetch_max(way as u8 + 1, Ordering::Relaxed);
        });
    }
}

impl<const WORDS: usize, const WAYS: usize> Bucket<WORDS, WAYS> {
    /// Which way the key is, if it is here.
    // Without a branch for each way: which of them it is cannot be predicted, and a wrong guess is found out only
    // after the cache miss. What is left of earlier entries is behind those that are here, so the first one counts.
    #[inline]
    fn way_of(&self, key: [u64; WORDS]) -> Option<usize> {
        let mut way = WAYS - 1;
        for each in (0..WAYS - 1).rev() {
            way = select_unpredictable(self.holds(each, key), each, way);
        }
        (self.holds(way, key) && way < self.len()).then_some(way)
    }

    #[inline]
    fn holds(&self, way: usize, key: [u64; WORDS]) -> bool {
        self.key(way).iter().zip(key).fold(true, |same, (a, b)| same & (*a == b))
    }

    #[inline]
    fn len(&self) -> usize {
        usize::from(self.len.load(Ordering::Relaxed))
    }

    #[inline]
    fn key(&self, way: usize) -> [u64; WORDS] {
        self.keys[way].each_ref().map(|word| word.load(Ordering::Relaxed))
    }

    #[inline]
    fn head(&self, way: usize) -> u64 {
        u64::from(self.lows[way].load(Ordering::Relaxed)) | u64::from(self.highs[way].load(Ordering::Relaxed)) << 32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// A state in which every part tells the same number, so that a torn one shows.
    fn numbered(n: i64) -> UserState {
        let identity = Vid::try_from(n).ok().map(|vid| Identity {
            vid,
            external_id: match n % 4 {
                0 => Some(Vid::try_from(n + 1).expect("positive")),
                1 => None,
                _ => Some(vid),
            },
        });
        let confirmed = (n % 2 == 1).then_some(Fingerprint((n as u128).to_le_bytes()));
        UserState { identity, confirmed, changing: n % 5 == 0 }
    }

    /// 4,000 users of every kind of key.
    fn with_keys(mut work: impl FnMut(UserKey<'_>, i64)) {
        for n in 0..4_000 {
            let text = match n % 3 {
                0 => format!("{n}"),
                1 => format!("0188d3c4-5e6f-7a8b-9c0d-{n:012x}"),
                _ => format!("user-{n}"),
            };
            work(UserKey::text(&text).expect("a key"), n);
        }
    }

    #[test]
    fn what_was_put_in_comes_out_whole_for_every_kind_of_key() {
        let hot = Hot::new(32 << 20).unwrap();
        with_keys(|key, n| hot.put(key, &numbered(n)));
        // Where keys lie is chance, and a window of buckets may be full long before the table is.
        let (users, _, evictions) = hot.size();
        assert_eq!(users as u64 + evictions, 4_000);
        assert!(evictions < 8, "{evictions}");
        let mut absent = HashSet::new();
        with_keys(|key, n| match hot.state(&key) {
            Some(state) => {
                assert_eq!(state, numbered(n), "{n}");
                assert_eq!(hot.identity(&key), Some(numbered(n).identity), "{n}");
            }
            None => drop(absent.insert(key.to_text())),
        });
        assert_eq!(absent.len() as u64, evictions);
        with_keys(|key, n| {
            if n % 2 == 0 {
                hot.remove(key)
            }
        });
        with_keys(|key, n| {
            assert_eq!(hot.state(&key).is_some(), n % 2 == 1 && !absent.contains(&key.to_text()), "{n}");
        });
        hot.clear();
        with_keys(|key, _| assert_eq!(hot.state(&key), None));
        assert_eq!(hot.size().0, 0);
    }

    /// Against a plain map: the table may have forgotten, it may never say something else.
    #[test]
    fn a_full_table_forgets_and_never_lies() {
        let hot = Hot::new(16 << 10).unwrap();
        let mut map = HashMap::new();
        let mut random = 1u64;
        for turn in 0..200_000i64 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let id = (random >> 33) as i64 % 3_000;
            match random >> 60 {
                0..8 => {
                    hot.put(UserKey::from(id), &numbered(turn));
                    map.insert(id, turn);
                }
                8 => {
                    hot.remove(UserKey::from(id));
                    map.remove(&id);
                }
                _ => {
                    if let Some(found) = hot.state(&UserKey::from(id)) {
                        assert_eq!(Some(found), map.get(&id).copied().map(numbered));
                    }
                }
            }
        }
        let (entries, bytes, evictions) = hot.size();
        assert!(entries > 100 && evictions > 1_000 && bytes <= 16 << 10, "{entries} {bytes} {evictions}");
    }

    #[test]
    fn a_full_table_keeps_the_users_that_are_read() {
        let hot = Hot::new(64 << 10).unwrap();
        let state = numbered(1);
        for id in 0..100 {
            hot.put(UserKey::from(id), &state);
        }
        let (mut reads, mut misses) = (0, 0);
        for stranger in 1_000..21_000 {
            hot.put(UserKey::from(stranger), &state);
            if stranger % 10 == 0 {
                for id in 0..100 {
                    reads += 1;
                    if hot.identity(&UserKey::from(id)).is_none() {
                        misses += 1;
                        hot.put(UserKey::from(id), &state);
                    }
                }
            }
        }
        assert!(misses * 1000 < reads, "{misses} of {reads} reads missed while 20,000 strangers passed");
    }

    #[test]
    fn a_vid_that_the_table_has_no_room_for_is_left_to_the_file() {
        let hot = Hot::new(1 << 20).unwrap();
        let user = UserKey::from(1i64);
        let state = |vid: i64| {
            let identity = Identity { vid: Vid::try_from(vid).unwrap(), external_id: None };
            UserState { identity: Some(identity), ..UserState::default() }
        };
        let largest = (1 << 47) - 1;
        hot.put(user, &state(largest));
        assert_eq!(hot.state(&user), Some(state(largest)));
        for vid in [1 << 47, i64::MAX] {
            hot.put(user, &state(1));
            hot.put(user, &state(vid));
            assert_eq!(hot.state(&user), None, "{vid}");
        }
        // As an external id it has room.
        let mut other = state(1);
        other.identity = other.identity.map(|is| Identity { external_id: Vid::try_from(i64::MAX).ok(), ..is });
        hot.put(user, &other);
        assert_eq!((hot.state(&user), hot.identity(&user)), (Some(other), Some(other.identity)));
    }

    #[test]
    fn a_contact_s_users_go_and_no_others_wherever_they_are_in_the_table() {
        let hot = Hot::new(32 << 20).unwrap();
        // Eight users to a contact, and none of every 40th.
        let state = |n: i64| UserState { confirmed: None, ..numbered(if n % 40 == 0 { 0 } else { 1 + n / 8 }) };
        with_keys(|key, n| hot.put(key, &state(n)));
        let mut there = HashSet::new();
        with_keys(|key, n| there.extend(hot.state(&key).map(|_| n)));
        let gone = |n: i64| state(n).identity.is_some_and(|is| is.vid.get() % 3 == 0);
        hot.remove_contacts(&BTreeSet::new());
        assert_eq!(hot.size().0, there.len());
        hot.remove_contacts(&(1..=501).filter(|vid| vid % 3 == 0).chain([1 << 50, -1, i64::MIN]).collect());
        with_keys(|key, n| {
            let left = (there.contains(&n) && !gone(n)).then(|| state(n));
            assert_eq!(hot.state(&key), left, "{n}");
        });
        assert_eq!(hot.size().0, there.iter().filter(|n| !gone(**n)).count());
    }

    #[test]
    fn readers_never_see_half_an_entry() {
        let hot = Hot::new(1 << 20).unwrap();
        let done = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut seen = 0u64;
                        while !done.load(Ordering::Relaxed) {
                            for id in 0..64 {
                                let Some(found) = hot.state(&UserKey::from(id)) else { continue };
                                let n = found.identity.expect("always linked").vid.get();
                                assert_eq!(found, numbered(n));
                                assert_eq!(n % 64, id, "another user's entry");
                                seen += 1;
                            }
                        }
                        seen
                    })
                })
                .collect();
            for turn in 1..20_000i64 {
                for id in 0..8 {
                    hot.put(UserKey::from((turn + id) % 64), &numbered(turn * 64 + (turn + id) % 64));
                }
                match turn % 1000 {
                    0 => hot.clear(),
                    n => hot.remove(UserKey::from(n % 64)),
                }
            }
            done.store(true, Ordering::Relaxed);
            readers.into_iter().map(|r| r.join().expect("no panic")).sum::<u64>()
        });
        assert!(seen > 1_000, "{seen}");
    }
}
