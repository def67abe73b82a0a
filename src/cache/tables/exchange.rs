//! One thing that is asked, learnt or done, as an exchange with the app's database: which statement is next, whatever
//! was said to the last one. So a language that sends them has a loop, and no more.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use super::work::{Ended, Form, Outcome, Work};
use crate::cache::database::{Database, Look, Recalled, Reply, Turn};
use crate::error::{Error, Result};
use crate::identity::UserKey;
use crate::rows::lease::LeaseToken;
use crate::snippet::Page;

/// How often what others stood in the way of is run, outside a transaction of the app's.
const TRIES: u32 = 5;

/// How a part begins, ends, and is taken back.
type Frame = (&'static str, &'static str, &'static str);

/// In READ COMMITTED a statement sees what others have committed while it waited for them.
const OWN: Frame = ("BEGIN ISOLATION LEVEL READ COMMITTED", "COMMIT", "ROLLBACK");
/// PostgreSQL ends a transaction of which a statement failed, but for a part of it.
const PART: Frame =
    ("SAVEPOINT vidcache", "RELEASE SAVEPOINT vidcache", "ROLLBACK TO SAVEPOINT vidcache; RELEASE SAVEPOINT vidcache");

/// What the database said to the statement that was sent last.
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// What it gave: the text of its first row's first column, `None` where there is no row, or nothing to give. So
    /// begins every exchange.
    Answer(Option<&'a str>),
    /// The server refused it, with this SQLSTATE, five letters; `""` where no server answered.
    Refused(&'a str),
}

/// What is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this, all of one exchange on one connection, and bring what is said to it.
    Send(Statement),
    /// The end, and what came of it.
    Done(Outcome),
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// One statement, or, where it does not ask, several with `;` between them.
    pub text: String,
    /// What stands for `$1` and on, each of PostgreSQL's type `text`: hexadecimal digits and `/:,` alone, which may be
    /// put into the text between apostrophes. A statement that has some is the same for all users, and worth being kept
    /// prepared: to plan it takes ten times as long as to run it.
    pub parameters: Vec<String>,
    /// Whether it gives a row.
    pub asks: bool,
    /// How long to wait before it is sent.
    pub wait: Duration,
}

/// One [`Work`] that is being done.
pub struct Exchange {
    work: Work,
    inside: bool,
    frame: Option<Frame>,
    is_open: bool,
    tries: u32,
    /// How many statements of the work were sent.
    turn: u32,
    /// What was asked, behind the beginning of its part.
    held: Option<Statement>,
    at: At,
    /// Of a page.
    look: Option<Look>,
    parameters: Vec<String>,
    /// Of a set-up: the statement that makes, and that which says for how long pages name an email.
    texts: Vec<String>,
    found: Vec<String>,
}

/// What the last statement was.
enum At {
    Work,
    /// The end of the part.
    End(Ended),
    /// The taking back of it. `None`: it begins again.
    Back(Option<Result<Outcome>>),
    /// The standing work beside it: what is left of it.
    Upkeep(Ended, Vec<String>),
}

/// What the work wants next.
enum Next {
    Ask(String, Vec<String>),
    Run(String),
    /// The last of them, and what came of it.
    Last(Vec<String>, Ended),
}

impl Exchange {
    /// `inside`: a transaction of the app's is open on the connection. Then all of it is a part of that, and what fails
    /// leaves that as it was; but the beginning of a change, with which it must fail.
    pub fn new(work: Work, inside: bool) -> Self {
        let frame = match (&work, inside) {
            (Work::Begin { .. } | Work::See { .. }, _) => None,
            (_, true) => Some(PART),
            (work, false) => work.is_written().then_some(OWN),
        };
        Self {
            work,
            inside,
            frame,
            is_open: false,
            tries: 1,
            turn: 0,
            held: None,
            at: At::Work,
            look: None,
            parameters: Vec::new(),
            texts: Vec::new(),
            found: Vec::new(),
        }
    }

    /// The next statement, or what came of all. Called first with `Said::Answer(None)`, and not after the end.
    ///
    /// # Errors
    /// Those of the work, once there is nothing more to send; then nothing of it was written. Also the error that is
    /// told of what was.
    pub fn next(&mut self, tables: &RwLock<Database>, said: Said<'_>) -> Result<Step> {
        let answer = match said {
            Said::Answer(answer) => answer,
            Said::Refused(state) => return self.refused(tables, state),
        };
        match std::mem::replace(&mut self.at, At::Work) {
            At::Work => self.go_on(tables, answer),
            At::End(ended) => self.ended(tables, ended),
            At::Back(None) => self.go_on(tables, None),
            At::Back(Some(ending)) => ending.map(Step::Done),
            At::Upkeep(ended, left) => Self::kept_up(&mut self.at, ended, left),
        }
    }

    fn refused(&mut self, tables: &RwLock<Database>, state: &str) -> Result<Step> {
        match std::mem::replace(&mut self.at, At::Work) {
            // The connection has gone, and what was written with it.
            At::Back(Some(ending)) => ending.map(Step::Done),
            // It is said again, by the next process at the latest.
            At::Upkeep(ended, left) => Self::kept_up(&mut self.at, ended, left),
            At::Work | At::End(_) | At::Back(None) => {
                let error = read(tables).failure(state);
                let again = !self.inside && self.is_open && matches!(state, "40001" | "40P01") && self.tries < TRIES;
                if again { Ok(self.back(None)) } else { self.failed(tables, error) }
            }
        }
    }

    fn go_on(&mut self, tables: &RwLock<Database>, answer: Option<&str>) -> Result<Step> {
        if let Some(held) = self.held.take() {
            return Ok(Step::Send(held));
        }
        match self.talk(tables, answer) {
            Ok(next) => self.framed(tables, next),
            Err(error) => self.failed(tables, error),
        }
    }

    /// The step that the work wants, with the beginning and the end of its part where they are due.
    fn framed(&mut self, tables: &RwLock<Database>, next: Next) -> Result<Step> {
        self.turn += 1;
        let begin = self.frame.filter(|_| !self.is_open).map(|(begin, ..)| begin);
        match next {
            Next::Ask(text, parameters) => {
                let asked = Statement { text, parameters, asks: true, wait: Duration::ZERO };
                let Some(begin) = begin else { return Ok(Step::Send(asked)) };
                self.is_open = true;
                self.held = Some(asked);
                Ok(self.run(begin.into()))
            }
            Next::Run(text) => {
                self.is_open |= begin.is_some();
                Ok(self.run(begin.map_or(text.clone(), |begin| format!("{begin};\n{text}"))))
            }
            Next::Last(mut texts, ended) => {
                texts.extend(self.frame.filter(|_| self.is_open).map(|(_, end, _)| end.into()));
                if texts.is_empty() {
                    return self.ended(tables, ended);
                }
                self.at = At::End(ended);
                Ok(self.run(texts.join(";\n")))
            }
        }
    }

    fn run(&self, text: String) -> Step {
        let again = self.turn == 1 && self.tries > 1;
        let wait = if again { Duration::from_millis(10 * u64::from(self.tries)) } else { Duration::ZERO };
        Step::Send(Statement { text, parameters: Vec::new(), asks: false, wait })
    }

    /// Takes the part back. Without an ending it is begun again.
    fn back(&mut self, ending: Option<Result<Outcome>>) -> Step {
        let text = self.frame.map_or("", |(.., back)| back).to_owned();
        let statement = Statement { text, parameters: Vec::new(), asks: false, wait: Duration::ZERO };
        if ending.is_none() {
            (self.turn, self.tries) = (0, self.tries + 1);
        }
        (self.is_open, self.held, self.at) = (false, None, At::Back(ending));
        Step::Send(statement)
    }

    fn failed(&mut self, tables: &RwLock<Database>, error: Error) -> Result<Step> {
        let ending = match &self.work {
            // Only what the database did, or said, is a page's that says less.
            Work::Page { user, email, form } if self.look.is_some() => {
                let tables = read(tables);
                Ok(page(&tables.unanswered(UserKey::text(user)?, email.as_ref()), form, Some(error)).0)
            }
            _ => Err(error),
        };
        if self.is_open { Ok(self.back(Some(ending))) } else { ending.map(Step::Done) }
    }

    /// Once all is written. Now and then somebody has to do the standing work.
    fn ended(&mut self, tables: &RwLock<Database>, ended: Ended) -> Result<Step> {
        let is_believed = ended.1.is_none() && !matches!(ended.0, Outcome::Page { why: Some(_), .. });
        let by_whom = self.work.is_written() || matches!(self.work, Work::Page { .. } | Work::SetUp);
        let left = match !self.inside && by_whom && is_believed && self.turn > 1 {
            true => read(tables).upkeep_that_is_due(matches!(self.work, Work::SetUp)),
            false => Vec::new(),
        };
        Self::kept_up(&mut self.at, ended, left)
    }

    fn kept_up(at: &mut At, ended: Ended, mut left: Vec<String>) -> Result<Step> {
        match (left.pop(), ended) {
            (Some(text), ended) => {
                *at = At::Upkeep(ended, left);
                Ok(Step::Send(Statement { text, parameters: Vec::new(), asks: false, wait: Duration::ZERO }))
            }
            (None, (_, Some(refused))) => Err(refused),
            (None, (outcome, None)) => Ok(Step::Done(outcome)),
        }
    }

    /// What the work says to the answer of its last statement.
    fn talk(&mut self, tables: &RwLock<Database>, answer: Option<&str>) -> Result<Next> {
        let core = read(tables);
        let (text, asked) = (answer.unwrap_or_default(), self.turn > 0);
        let ask = |text: String| Ok(Next::Ask(text, Vec::new()));
        let last = |outcome: Outcome| Ok(Next::Last(Vec::new(), (outcome, None)));
        match &mut self.work {
            Work::SetUp => {
                drop(core);
                self.set_up(tables, text)
            }
            Work::Page { .. } => self.page(&core, text),
            Work::Anonymous { form } => Ok(Next::Last(Vec::new(), page(&core.anonymous_page(), form, None))),
            Work::SignedOut { form } => Ok(Next::Last(Vec::new(), page(&core.signed_out_page(), form, None))),
            Work::Begin { user } => {
                let (token, statement) = core.begin(UserKey::text(user)?)?;
                Ok(Next::Last(vec![statement], (Outcome::Change(token), None)))
            }
            Work::See { change } => {
                let statement = (!self.inside).then(|| core.see(*change));
                Ok(Next::Last(statement.into_iter().collect(), (Outcome::Done, None)))
            }
            Work::DoubtAll if asked => {
                // Where there is no row that could say so, the doubt would be lost.
                core.quiet_period(text)?;
                Ok(Next::Last(vec![core.doubt_all()], (Outcome::Done, None)))
            }
            Work::DoubtAll => ask(core.ask_quiet_period()),
            Work::QuietPeriod if asked => last(Outcome::Time(core.quiet_period(text)?)),
            Work::QuietPeriod => ask(core.ask_quiet_period()),
            Work::Lease { held, .. } if asked => last(Outcome::Lease(answer.and(*held))),
            Work::Lease { user, duration, held } => {
                let (token, statement) = core.lease(UserKey::text(user)?, *duration, *held)?;
                *held = Some(token);
                ask(statement)
            }
            Work::Release { .. } if asked => last(Outcome::Flag(answer.is_some())),
            Work::Release { user, held } => ask(core.release(UserKey::text(user)?, *held)),
            Work::Turn { user, change, at_least } => {
                let errand = core.turn(UserKey::text(user)?, *change, *at_least);
                if !asked {
                    return ask(errand.ask());
                }
                let (turn, see) = errand.read(text)?;
                let see = see.filter(|_| !self.inside && turn == Turn::See);
                Ok(Next::Last(see.into_iter().collect(), (Outcome::Turn(turn), None)))
            }
            Work::StaleChanges { .. } if asked => last(Outcome::StaleChanges(core.stale_changes(text)?)),
            Work::StaleChanges { older_than, limit } => ask(core.ask_stale_changes(*older_than, *limit)),
            Work::UsersToRead { confirmed, older_than, after, limit } => {
                if asked {
                    let part = core.users_to_read(*confirmed, *older_than, text)?;
                    if !part.items.is_empty() || part.next.is_none() {
                        return last(Outcome::UsersToRead(part.items, part.next));
                    }
                    *after = part.next;
                }
                ask(core.ask_users_to_read(*confirmed, *older_than, *after, *limit))
            }
            Work::Conflicts { after, limit } => {
                if asked {
                    let part = core.conflicts(text)?;
                    if !part.items.is_empty() || part.next.is_none() {
                        return last(Outcome::Conflicts(part.items));
                    }
                    *after = part.next;
                }
                ask(core.ask_conflicts(after.as_deref().map(UserKey::text).transpose()?, *limit))
            }
            Work::Verify => {
                if self.turn > 1 {
                    self.found.extend(core.distrust(text).map(|why| why.error(core.portal()).to_string()));
                    self.found.dedup();
                }
                match self.turn {
                    // A lease that nobody has: a write that writes nothing.
                    0 => ask(core.release(UserKey::from(0), LeaseToken::from(0))),
                    1 => ask(core.probe()),
                    2 => ask(core.resolve(UserKey::from(0)).ask()),
                    _ => last(Outcome::Texts(std::mem::take(&mut self.found))),
                }
            }
            work => {
                let errand = work.errand(&core)?;
                match (work.is_written(), self.turn) {
                    (true, 0) => Ok(Next::Run(errand.lock())),
                    (true, 1) | (false, 0) => ask(errand.ask()),
                    (true, _) => errand.finish(text).map(|(ended, statements)| Next::Last(statements, ended)),
                    (false, _) => errand.read(text).map(|ended| Next::Last(Vec::new(), ended)),
                }
            }
        }
    }

    fn page(&mut self, core: &Database, answer: &str) -> Result<Next> {
        let Work::Page { user, email, form } = &self.work else { return Err(Error::Internal("no page".into())) };
        let (user, email) = (UserKey::text(user)?, email.as_ref());
        let Some(look) = self.look else {
            let look = core.look();
            let since = match core.recall(user, email, look) {
                Recalled::Page(said) => return Ok(Next::Last(Vec::new(), page(&said, form, None))),
                Recalled::Ask(since) => since,
            };
            let text = core.prepared_for(&since).to_owned();
            self.parameters = [core.parameter(user)].into_iter().chain(core.watch_stats().map(|_| since)).collect();
            // Whatever fails from here on, the page goes out.
            self.look = Some(look);
            return Ok(Next::Ask(text, self.parameters.clone()));
        };
        match core.reply(user, email, answer, look) {
            Reply::Page(said, why) => {
                let why = why.map(|why| why.error(core.portal()));
                Ok(Next::Last(Vec::new(), page(&said, form, why)))
            }
            Reply::More(_) if self.turn == 1 => Ok(Next::Ask(core.prepared_walk().to_owned(), self.parameters.clone())),
            Reply::More(_) => Err(Error::TablesUnusable("an answer says twice that there is more".into())),
        }
    }

    fn set_up(&mut self, tables: &RwLock<Database>, answer: &str) -> Result<Next> {
        match self.turn {
            0 => self.texts = read(tables).set_up()?.into(),
            // Nobody has set them up.
            1 if answer.is_empty() => return Ok(Next::Run(self.texts[0].clone())),
            // The key was there already, or is after that.
            1 | 3 => {
                let anew = tables.write().unwrap_or_else(PoisonError::into_inner).take_key(answer)?;
                let announce = self.texts[1].clone();
                return Ok(Next::Last(anew.into_iter().chain([announce]).collect(), (Outcome::Done, None)));
            }
            _ => {}
        }
        Ok(Next::Ask(self.texts[2].clone(), Vec::new()))
    }
}

/// The page in the form that was wanted.
fn page(page: &Page<'_>, form: &Form, why: Option<Error>) -> Ended {
    let text = match form {
        Form::Decision => None,
        Form::Snippet(nonce) => Some(page.render(nonce.as_deref())),
        Form::Data => Some(page.data()),
    };
    (Outcome::Page { decision: page.decision().into(), text, why }, None)
}

fn read(tables: &RwLock<Database>) -> RwLockReadGuard<'_, Database> {
    tables.read().unwrap_or_else(PoisonError::into_inner)
}
