//! HubSpot's double: hosts tell it of emails, read contacts, take its webhooks, and tell its judge what their pages
//! named. It outlives every host and server, in the process that has started them.

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::portal::{Address, Answer, Page, Portal};
use crate::scaled::{SCALE, TRANSIT};

/// The two sides of a page's time are each read by a clock of milliseconds, ten times over.
const ROUNDING: i64 = 2 * SCALE;

/// The double, which listens on a socket.
#[derive(Clone)]
pub(crate) struct Double(Arc<Mutex<Portal>>);

impl Double {
    pub(crate) fn listen(socket: &Path, portal: Portal) -> Result<Self> {
        let double = Self(Arc::new(Mutex::new(portal)));
        let (listener, of_threads) = (UnixListener::bind(socket)?, double.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let double = of_threads.clone();
                thread::spawn(move || double.serve(&stream));
            }
        });
        Ok(double)
    }

    pub(crate) fn portal(&self) -> MutexGuard<'_, Portal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            if let Some(answer) = self.hear(line.trim_end())
                && writeln!(answers, "{answer}").is_err()
            {
                return;
            }
        }
    }

    /// What is answered to a line, if it is to be answered.
    fn hear(&self, line: &str) -> Option<String> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let numbers: Vec<i64> = words.filter_map(|word| word.parse().ok()).collect();
        let mut portal = self.portal();
        match (kind, &numbers[..]) {
            ("id", &[user]) => Some(portal.id_of(number(user)).unwrap_or(0).to_string()),
            ("read", &[id]) => Some(words_of(&portal.read(id))),
            ("tell", &[user, email, id, turn]) => Some(words_of(&portal.tell((number(user), number(email)), id, turn))),
            ("hook", &[]) => Some(portal.next_hook().map_or("none".into(), |(hook, body)| format!("{hook} {body}"))),
            ("accepted", &[hook]) => {
                portal.accepted(usize::try_from(hook).unwrap_or(usize::MAX));
                None
            }
            ("recorded", &[id]) => {
                portal.recorded(id);
                None
            }
            ("named", &[user, email, from, until]) => {
                portal.judge(Page { user: number(user), email: number(email), from, until });
                None
            }
            ("pages", &[pages, walked]) => {
                portal.tally.pages += pages.unsigned_abs();
                portal.tally.walked += walked.unsigned_abs();
                None
            }
            _ => None,
        }
    }
}

fn number(word: i64) -> u32 {
    u32::try_from(word).unwrap_or_default()
}

fn words_of(answer: &Answer) -> String {
    match answer {
        Answer::Contact((user, email), at, ids) => {
            let ids = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
            format!("contact {user} {email} {at} {ids}")
        }
        Answer::Gone => "gone".into(),
        Answer::Other => "other".into(),
    }
}

fn answer_of(words: &str) -> Result<Answer> {
    let mut words = words.split_whitespace();
    match words.next() {
        Some("contact") => {
            let numbers = words.map(str::parse).collect::<std::result::Result<Vec<i64>, _>>().map_err(Error::other)?;
            let [user, email, at, ids @ ..] = &numbers[..] else { return Err(Error::other("half an answer")) };
            Ok(Answer::Contact((number(*user), number(*email)), *at, ids.to_vec()))
        }
        Some("gone") => Ok(Answer::Gone),
        Some("other") => Ok(Answer::Other),
        _ => Err(Error::other("no answer")),
    }
}

/// A host's line to HubSpot, and to the judge.
pub(crate) struct Line {
    stream: UnixStream,
    answers: BufReader<UnixStream>,
    pages: u64,
    walked: u64,
}

impl Line {
    pub(crate) fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        let answers = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, answers, pages: 0, walked: 0 })
    }

    /// The id of the user's contact; none if it was erased.
    pub(crate) fn id_of(&mut self, user: u32) -> Result<Option<i64>> {
        let id: i64 = self.ask(&format!("id {user}"))?.parse().map_err(Error::other)?;
        Ok((id > 0).then_some(id))
    }

    /// What HubSpot says of a contact.
    pub(crate) fn read(&mut self, id: i64) -> Result<Answer> {
        answer_of(&self.ask(&format!("read {id}"))?)
    }

    /// Tells HubSpot of an email, after a turn that was asked for then.
    pub(crate) fn tell(&mut self, (user, email): Address, id: i64, turn: i64) -> Result<Answer> {
        answer_of(&self.ask(&format!("tell {user} {email} {id} {turn}"))?)
    }

    /// A webhook that is to be taken in, if there is one: its number and its body.
    pub(crate) fn hook(&mut self) -> Result<Option<(usize, String)>> {
        let answer = self.ask("hook")?;
        let hook = answer.split_once(' ').and_then(|(hook, body)| Some((hook.parse().ok()?, body.to_owned())));
        Ok(hook)
    }

    /// A webhook is committed: 200.
    pub(crate) fn accept(&mut self, hook: usize) -> Result<()> {
        self.say(&format!("accepted {hook}"))
    }

    /// An answer is committed about the contact that had that id.
    pub(crate) fn recorded(&mut self, id: i64) -> Result<()> {
        self.say(&format!("recorded {id}"))
    }

    /// A page that was rendered just now, what it named until then, and whether it took two statements.
    pub(crate) fn page(&mut self, user: u32, named: Option<(u32, i64)>, now: i64, walked: bool) -> Result<()> {
        self.pages += 1;
        self.walked += u64::from(walked);
        if let Some((email, until)) = named
            && now < until
        {
            self.say(&format!("named {user} {email} {now} {}", until + TRANSIT - ROUNDING))?;
        }
        if self.pages == 10 {
            let (pages, walked) = (std::mem::take(&mut self.pages), std::mem::take(&mut self.walked));
            self.say(&format!("pages {pages} {walked}"))?;
        }
        Ok(())
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        self.say(line)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }

    /// One line by one write, so that a host that is killed has said all of it or nothing.
    fn say(&mut self, line: &str) -> Result<()> {
        self.stream.write_all(format!("{line}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::first_id;
    use crate::scaled::Scaled;

    #[test]
    fn what_a_host_had_not_said_to_its_end_when_it_was_killed_it_has_not_said() {
        let double = Double(Arc::new(Mutex::new(Portal::new(Scaled::at(0), 9, false))));
        let tell = format!("tell 1 7 {} 0", first_id(1));
        for (said, told) in [(&tell[..], 0), ("named 1 7\n", 0), (&format!("{tell}\n"), 1)] {
            let (mut host, stream) = UnixStream::pair().expect("a pair");
            host.write_all(said.as_bytes()).expect("said");
            host.shutdown(std::net::Shutdown::Write).expect("shut");
            double.serve(&stream);
            assert_eq!(double.portal().tally.told, told, "{said}");
        }
    }
}
