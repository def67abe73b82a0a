//! HubSpot's double: which email each contact holds, and since when; and the judge of what pages say of it. It outlives
//! every host and server, in the process that has started them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::scaled::{Scaled, TRANSIT};

/// The two sides of a page's time are each read by a clock of milliseconds, ten times over.
const ROUNDING: i64 = 2 * crate::scaled::SCALE;

/// A page that named an email, from when it was rendered until its last request may have come to HubSpot.
#[derive(Debug, Clone, Copy)]
struct Page {
    email: u32,
    from: i64,
    until: i64,
}

#[derive(Default)]
struct Contact {
    /// Which email, since when, the latest last.
    held: Vec<(i64, u32)>,
    /// Those that may still be on the way.
    pages: Vec<Page>,
}

impl Contact {
    /// Whether the contact holds another email at some time of the page's.
    fn contradicts(&self, page: Page) -> bool {
        self.held.iter().enumerate().any(|(at, &(since, email))| {
            let until = self.held.get(at + 1).map_or(i64::MAX, |next| next.0);
            email != page.email && since < page.until && until > page.from
        })
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pages that were rendered.
    pub pages: u64,
    /// Of these, those that named an email.
    pub named: u64,
    /// Of these, those that named an email which HubSpot did not hold at some time at which they could: each of them
    /// makes a duplicate.
    pub wrong: u64,
    /// How often HubSpot was told of an email.
    pub told: u64,
    /// What the first wrong page was.
    pub first: Option<String>,
}

struct State {
    clock: Scaled,
    contacts: HashMap<u32, Contact>,
    tally: Tally,
}

/// The double, which listens on a socket.
#[derive(Clone)]
pub(crate) struct Double(Arc<Mutex<State>>);

impl Double {
    /// Contacts 1 to `users` hold their users' first emails.
    pub(crate) fn listen(socket: &Path, clock: Scaled, users: u32) -> std::io::Result<Self> {
        let held = || Contact { held: vec![(0, 0)], ..Contact::default() };
        let contacts = (1..=users).map(|user| (user, held())).collect();
        let double = Self(Arc::new(Mutex::new(State { clock, contacts, tally: Tally::default() })));
        let (listener, of_threads) = (UnixListener::bind(socket)?, double.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let double = of_threads.clone();
                thread::spawn(move || double.serve(&stream));
            }
        });
        Ok(double)
    }

    pub(crate) fn tally(&self) -> Tally {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tally.clone()
    }

    /// Which email the contact holds.
    pub(crate) fn holds(&self, user: u32) -> Option<u32> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.contacts.get(&user)?.held.last().map(|held| held.1)
    }

    fn serve(&self, stream: &UnixStream) {
        let Ok(mut answers) = stream.try_clone() else { return };
        let (mut lines, mut line) = (BufReader::new(stream), String::new());
        loop {
            line.clear();
            // What a host had not said to its end when it was killed, it has not said.
            if lines.read_line(&mut line).is_err() || !line.ends_with('\n') {
                return;
            }
            let mut words = line.trim_end().split(' ');
            let kind = words.next();
            let numbers: Vec<i64> = words.filter_map(|word| word.parse().ok()).collect();
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match (kind, &numbers[..]) {
                (Some("tell"), &[user, email]) => {
                    let at = state.tell(number(user), number(email));
                    drop(state);
                    if writeln!(answers, "{at}").is_err() {
                        return;
                    }
                }
                (Some("named"), &[user, email, from, until]) => {
                    state.judge(number(user), Page { email: number(email), from, until });
                }
                (Some("pages"), &[pages]) => state.tally.pages += pages.unsigned_abs(),
                _ => {}
            }
        }
    }
}

fn number(word: i64) -> u32 {
    u32::try_from(word).unwrap_or_default()
}

impl State {
    /// HubSpot is told that the contact holds that email from now on.
    fn tell(&mut self, user: u32, email: u32) -> i64 {
        let now = self.clock.now();
        self.tally.told += 1;
        let contact = self.contacts.entry(user).or_default();
        let at = now.max(contact.held.last().map_or(0, |last| last.0 + 1));
        contact.held.push((at, email));
        let pages: Vec<_> = contact.pages.iter().copied().filter(|page| page.until > at).collect();
        contact.pages.clone_from(&pages);
        for page in pages.into_iter().filter(|page| page.email != email) {
            self.found(user, page, &format!("HubSpot was told of email {email} at {at}"));
        }
        at
    }

    fn judge(&mut self, user: u32, page: Page) {
        self.tally.named += 1;
        let contact = self.contacts.entry(user).or_default();
        contact.pages.push(page);
        if contact.contradicts(page) {
            let held = format!("HubSpot held {:?}", contact.held);
            self.found(user, page, &held);
        }
    }

    fn found(&mut self, user: u32, page: Page, why: &str) {
        self.tally.wrong += 1;
        self.tally.first.get_or_insert_with(|| format!("user {user}: {page:?}; {why}"));
    }
}

/// A host's line to HubSpot, and to the judge.
pub(crate) struct Line {
    stream: UnixStream,
    answers: BufReader<UnixStream>,
    pages: u64,
}

impl Line {
    pub(crate) fn open(socket: &Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        let answers = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, answers, pages: 0 })
    }

    /// Tells HubSpot of an email: when that was, by its clock.
    pub(crate) fn tell(&mut self, user: u32, email: u32) -> std::io::Result<i64> {
        self.say(&format!("tell {user} {email}\n"))?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        answer.trim().parse().map_err(std::io::Error::other)
    }

    /// A page that was rendered just now, and what it named until then.
    pub(crate) fn page(&mut self, user: u32, named: Option<(u32, i64)>, now: i64) -> std::io::Result<()> {
        self.pages += 1;
        if let Some((email, until)) = named
            && now < until
        {
            self.say(&format!("named {user} {email} {now} {}\n", until + TRANSIT - ROUNDING))?;
        }
        if self.pages == 10 {
            let pages = std::mem::take(&mut self.pages);
            self.say(&format!("pages {pages}\n"))?;
        }
        Ok(())
    }

    /// One line by one write, so that a host that is killed has said all of it or nothing.
    fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.stream.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_wrong_if_hubspot_holds_another_email_at_any_time_at_which_it_may_come() {
        let contact = Contact { held: vec![(0, 7), (100, 8), (200, 7)], pages: Vec::new() };
        let wrong = |email, from, until| contact.contradicts(Page { email, from, until });
        assert_eq!(
            [wrong(7, 10, 100), wrong(7, 10, 101), wrong(7, 199, 250), wrong(7, 200, 900)],
            [false, true, true, false]
        );
        assert_eq!([wrong(8, 100, 200), wrong(8, 99, 150), wrong(8, 150, 201)], [false, true, true]);
    }

    #[test]
    fn what_a_host_had_not_said_to_its_end_when_it_was_killed_it_has_not_said() {
        let state = State { clock: Scaled::at(0), contacts: HashMap::new(), tally: Tally::default() };
        let double = Double(Arc::new(Mutex::new(state)));
        for (said, told) in [("tell 1 7", 0), ("named 1 7\n", 0), ("tell 1 7\n", 1)] {
            let (mut host, stream) = UnixStream::pair().expect("a pair");
            host.write_all(said.as_bytes()).expect("said");
            host.shutdown(std::net::Shutdown::Write).expect("shut");
            double.serve(&stream);
            assert_eq!(double.tally().told, told, "{said}");
        }
    }
}
