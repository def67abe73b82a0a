//! HubSpot's contacts, and what is counted of the pages about them: which email each contact held, since when, and who
//! or what took the former one away.

mod judge;
mod tally;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fastrand::Rng;

pub(crate) use self::judge::Page;
use self::judge::{Cause, Held, contradiction};
pub use self::tally::Tally;
use crate::PORTAL;
use crate::scaled::Scaled;

/// An email: whose, and which of theirs.
pub(crate) type Address = (u32, u32);

/// Whose contact the user comes to, if the user has none of their own: some of the first half of the users, each that
/// of the user before.
pub(crate) fn lives_with(user: u32, users: u32) -> Option<u32> {
    (user % 7 == 3 && user <= users / 2).then(|| user - 1)
}

/// The most users that one contact may have after merges: of few users it has few, so that some have one of their own.
fn most(users: usize) -> usize {
    if users < 100 { 2 } else { 6 }
}

/// How long HubSpot waits for a 200 until it sends a webhook again.
const AGAIN: Duration = Duration::from_millis(300);

#[derive(Debug, Default)]
struct User {
    contact: usize,
    /// The latest last.
    held: Vec<Held>,
    /// Those that may still be on the way.
    pages: Vec<Page>,
}

#[derive(Debug)]
struct Contact {
    /// The living one last.
    ids: Vec<i64>,
    users: Vec<u32>,
    holds: Option<Address>,
    updated_at: i64,
    /// The webhooks of the merges that it came of.
    hooks: Vec<usize>,
}

#[derive(Debug)]
struct Hook {
    body: String,
    due: i64,
    given: Option<Instant>,
    /// When the library had heard of it, by this or by an answer.
    heard: Option<i64>,
    /// When it was answered by a 200.
    accepted: Option<i64>,
}

/// What HubSpot says of a contact.
pub(crate) enum Answer {
    /// `at updated id ids`: which email it holds, by its owner and number, since when, and which ids it has.
    Contact(Address, i64, Vec<i64>),
    /// It is erased.
    Gone,
    /// That id is not the user's contact: somebody is about to be told of a merge.
    Other,
}

/// HubSpot, as far as contacts and their emails go.
pub(crate) struct Portal {
    clock: Scaled,
    users: HashMap<u32, User>,
    contacts: Vec<Contact>,
    of_id: HashMap<i64, usize>,
    hooks: Vec<Hook>,
    /// The webhooks of the merges that a contact came of, by the id that the last of them gave it.
    merged: HashMap<i64, Vec<usize>>,
    /// Which webhooks tell that one contact is two users'.
    joined: HashMap<(u32, u32), Vec<usize>>,
    /// How many users' contacts were erased.
    gone: usize,
    pub(crate) tally: Tally,
}

/// How long before the beginning the contacts held their first emails, in milliseconds.
pub(crate) const FORMERLY: i64 = 100_000;

/// The id of the contact that a user has in the beginning.
pub(crate) fn first_id(user: u32) -> i64 {
    900_000 + i64::from(user)
}

impl Portal {
    /// Users 1 to `users` have contacts that hold their first emails; where contacts are `shared`, some come to
    /// another's.
    pub(crate) fn new(clock: Scaled, users: u32, shared: bool) -> Self {
        let mut portal = Self {
            clock,
            users: HashMap::new(),
            contacts: Vec::new(),
            of_id: HashMap::new(),
            hooks: Vec::new(),
            merged: HashMap::new(),
            joined: HashMap::new(),
            gone: 0,
            tally: Tally::default(),
        };
        for user in 1..=users {
            let with = lives_with(user, users).filter(|_| shared);
            let address = Some((with.unwrap_or(user), 0));
            let contact = match with {
                Some(with) => portal.users[&with].contact,
                None => portal.contacts.len(),
            };
            match portal.contacts.get_mut(contact) {
                Some(contact) => contact.users.push(user),
                None => {
                    portal.of_id.insert(first_id(user), contact);
                    portal.contacts.push(Contact {
                        ids: vec![first_id(user)],
                        users: vec![user],
                        holds: address,
                        updated_at: clock.began() - FORMERLY,
                        hooks: Vec::new(),
                    });
                }
            }
            let held = vec![Held { at: 0, address, cause: Cause::First }];
            portal.users.insert(user, User { contact, held, pages: Vec::new() });
        }
        portal
    }

    /// The id of the user's contact; none if it was erased.
    pub(crate) fn id_of(&self, user: u32) -> Option<i64> {
        let contact = self.contacts.get(self.users.get(&user)?.contact)?;
        contact.holds.and(contact.ids.last().copied())
    }

    /// Which email the user's contact holds; none if it was erased.
    pub(crate) fn holds(&self, user: u32) -> Option<Address> {
        self.contacts.get(self.users.get(&user)?.contact)?.holds
    }

    /// What HubSpot answers about the contact that had or has that id.
    pub(crate) fn read(&self, id: i64) -> Answer {
        let contact = self.of_id.get(&id).map(|contact| &self.contacts[*contact]);
        match contact.and_then(|contact| Some((contact, contact.holds?))) {
            Some((contact, holds)) => Answer::Contact(holds, contact.updated_at, contact.ids.clone()),
            None => Answer::Gone,
        }
    }

    /// HubSpot is told that the contact holds that email of the user's from now on, by a job that asked for its turn
    /// at `turn`.
    pub(crate) fn tell(&mut self, (user, email): Address, id: i64, turn: i64) -> Answer {
        let (of_user, of_id) = (self.users.get(&user).map(|user| user.contact), self.of_id.get(&id).copied());
        if of_id.is_none() || of_user != of_id {
            return Answer::Other;
        }
        if let Answer::Contact(..) = self.read(id) {
            self.tally.told += 1;
            self.change(of_id.unwrap_or_default(), Some((user, email)), &Cause::Told { user, turn });
        }
        self.read(id)
    }

    /// The contact holds another email from now on.
    fn change(&mut self, contact: usize, address: Option<Address>, cause: &Cause) {
        let now = self.clock.now();
        let of = &mut self.contacts[contact];
        (of.holds, of.updated_at) = (address, now.max(of.updated_at + 1));
        let (at, users) = (of.updated_at, of.users.clone());
        for user in users {
            let of_user = self.users.entry(user).or_default();
            let at = at.max(of_user.held.last().map_or(0, |last| last.at + 1));
            of_user.held.push(Held { at, address, cause: cause.clone() });
            of_user.pages.retain(|page| page.until > at);
            let late: Vec<Page> =
                of_user.pages.iter().copied().filter(|page| Some((user, page.email)) != address).collect();
            for page in late {
                self.found(page);
            }
        }
    }

    /// A person inside HubSpot merges two contacts: any of the first half of the users.
    pub(crate) fn merge(&mut self, random: &mut Rng) {
        let half = u32::try_from(self.users.len()).unwrap_or(2) / 2;
        let [of, with] = [(); 2].map(|()| self.users[&random.u32(1..=half)].contact);
        let [one, other] = [of, with].map(|contact| &self.contacts[contact]);
        if of == with
            || one.users.len() + other.users.len() > most(self.users.len())
            || one.holds.is_none()
            || other.holds.is_none()
        {
            return;
        }
        let (at, id) = (self.clock.now(), 5_000_000 + i64::try_from(self.hooks.len()).unwrap_or_default());
        let [primary, merged] = [one, other].map(|contact| contact.ids[contact.ids.len() - 1]);
        let deletion = |id| event(&format!(r#""subscriptionType":"contact.deletion","objectId":{id}"#), at);
        let merge = format!(
            r#""subscriptionType":"contact.merge","primaryObjectId":{primary},"mergedObjectIds":[{merged}],"newObjectId":{id}"#
        );
        let mut events = [event(&merge, at), deletion(primary), deletion(merged)];
        random.shuffle(&mut events);
        let mut hooks = [&one.hooks[..], &other.hooks[..]].concat();
        hooks.push(self.hook(format!("[{}]", events.join(",")), at, random));
        let other = &mut self.contacts[with];
        let (ids, users) = (std::mem::take(&mut other.ids), std::mem::take(&mut other.users));
        for (&user, &came) in self.contacts[of].users.iter().flat_map(|user| users.iter().map(move |came| (user, came)))
        {
            self.joined.insert((user.min(came), user.max(came)), hooks.clone());
        }
        let one = &mut self.contacts[of];
        one.ids.splice(0..0, ids);
        one.ids.push(id);
        for id in &one.ids {
            self.of_id.insert(*id, of);
        }
        one.users.extend(&users);
        one.hooks.clone_from(&hooks);
        self.merged.insert(id, hooks.clone());
        for user in users {
            self.users.entry(user).or_default().contact = of;
        }
        let holds = one.holds;
        self.change(of, holds, &Cause::Inside(hooks));
        self.tally.merged += 1;
    }

    /// A person inside HubSpot erases a contact for privacy: any of the first half of the users, as long as nine of ten
    /// of these have theirs still.
    pub(crate) fn erase(&mut self, random: &mut Rng) {
        let half = u32::try_from(self.users.len()).unwrap_or(2) / 2;
        let of = self.users[&random.u32(1..=half)].contact;
        let contact = &self.contacts[of];
        let Some(id) = contact.holds.and(contact.ids.last()) else { return };
        let gone = self.gone + contact.users.len();
        if gone * 20 > self.users.len() {
            return;
        }
        self.gone = gone;
        let at = self.clock.now();
        let body = event(&format!(r#""subscriptionType":"contact.privacyDeletion","objectId":{id}"#), at);
        let mut hooks = contact.hooks.clone();
        hooks.push(self.hook(format!("[{body}]"), at, random));
        self.contacts[of].hooks.clone_from(&hooks);
        self.change(of, None, &Cause::Inside(hooks));
        self.tally.erased += 1;
    }

    fn hook(&mut self, body: String, at: i64, random: &mut Rng) -> usize {
        let due = at + random.i64(0..8_000);
        self.hooks.push(Hook { body, due, given: None, heard: None, accepted: None });
        self.hooks.len() - 1
    }

    /// A webhook that is to be sent, or sent again.
    pub(crate) fn next_hook(&mut self) -> Option<(usize, &str)> {
        let now = self.clock.now();
        let is_due = |hook: &Hook| {
            hook.accepted.is_none() && hook.due <= now && hook.given.is_none_or(|given| given.elapsed() > AGAIN)
        };
        let at = self.hooks.iter().position(is_due)?;
        self.hooks[at].given = Some(Instant::now());
        Some((at, &self.hooks[at].body))
    }

    /// A webhook was committed, and answered by a 200.
    pub(crate) fn accepted(&mut self, hook: usize) {
        let now = self.clock.now();
        if let Some(hook) = self.hooks.get_mut(hook) {
            hook.heard = hook.heard.or(Some(now));
            hook.accepted = hook.accepted.or(Some(now));
        }
    }

    /// An answer about the contact of that id was committed: it says what was merged until HubSpot gave it, and nothing
    /// of what the contact was merged with since.
    pub(crate) fn recorded(&mut self, id: i64) {
        let now = self.clock.now();
        for &hook in self.merged.get(&id).into_iter().flatten() {
            let hook = &mut self.hooks[hook];
            hook.heard = hook.heard.or(Some(now));
        }
    }

    /// Sends again what was accepted since then: the database has lost it.
    pub(crate) fn send_again(&mut self, since: i64) {
        for hook in self.hooks.iter_mut().filter(|hook| hook.accepted.or(hook.heard).is_some_and(|at| at >= since)) {
            (hook.heard, hook.accepted, hook.given) = (None, None, None);
        }
    }

    /// How many webhooks nobody has accepted.
    pub(crate) fn unheard(&self) -> usize {
        self.hooks.iter().filter(|hook| hook.accepted.is_none()).count()
    }

    /// A page that named an email.
    pub(crate) fn judge(&mut self, page: Page) {
        self.tally.named += 1;
        self.users.entry(page.user).or_default().pages.push(page);
        self.found(page);
    }

    /// Counts a page that is wrong by what is known so far.
    fn found(&mut self, page: Page) {
        let Some(taken) = self.users.get(&page.user).and_then(|user| contradiction(&user.held, page)) else { return };
        if self.is_excused(page, &taken.cause) {
            self.tally.excused += 1;
            return;
        }
        let what = format!("{page:?}; HubSpot held another email by {taken:?}");
        self.tally.wrong += 1;
        self.tally.first.get_or_insert(what);
    }

    fn is_excused(&self, page: Page, cause: &Cause) -> bool {
        let heard = |hooks: &[usize]| hooks.iter().map(|hook| self.hooks[*hook].heard.unwrap_or(i64::MAX)).max();
        match cause {
            Cause::First => false,
            Cause::Inside(hooks) => heard(hooks).is_some_and(|heard| page.knew() < heard),
            Cause::Told { user, turn } => {
                let pair = (page.user.min(*user), page.user.max(*user));
                let heard = self.joined.get(&pair).and_then(|hooks| heard(hooks));
                heard.is_some_and(|heard| page.knew() < heard && *turn < heard)
            }
        }
    }
}

fn event(fields: &str, at: i64) -> String {
    format!(r#"{{"portalId":{PORTAL},"occurredAt":{at},"eventId":1,{fields}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Users 1 and 2 of four, whose contacts become one.
    fn merged() -> Portal {
        let mut portal = Portal::new(Scaled::at(0), 4, true);
        let mut random = Rng::with_seed(1);
        while portal.tally.merged == 0 {
            portal.merge(&mut random);
        }
        portal
    }

    #[test]
    fn a_merge_that_nobody_has_heard_of_excuses_pages_and_jobs_of_before_and_none_of_after() {
        let mut portal = merged();
        let now = portal.clock.now();
        let page = |from| Page { user: 1, email: 0, from, until: i64::MAX };
        let told = |turn| Cause::Told { user: 2, turn };
        assert!(portal.is_excused(page(now), &told(now)), "not heard yet");
        portal.accepted(0);
        let heard = portal.hooks[0].heard.expect("heard");
        let excused = |from, turn| portal.is_excused(page(from), &told(turn));
        assert_eq!(
            [excused(heard - 1, heard - 1), excused(heard, heard - 1), excused(heard - 1, heard)],
            [true, false, false]
        );
        assert!(!portal.is_excused(page(0), &Cause::Told { user: 3, turn: 0 }), "nobody who shares the contact");
        assert!(!portal.is_excused(page(0), &Cause::Told { user: 1, turn: 0 }), "the user's own job");
        assert_eq!(portal.unheard(), 0);
        portal.send_again(heard);
        assert!(portal.unheard() == 1 && portal.is_excused(page(heard), &told(heard)), "lost again");
    }

    #[test]
    fn an_answer_says_what_was_merged_until_it_was_given_and_no_more() {
        let mut portal = merged();
        let Answer::Contact(_, _, ids) = portal.read(first_id(1)) else { panic!("it is there") };
        portal.recorded(first_id(1));
        assert_eq!(portal.hooks[0].heard, None, "given before the merge, and committed after it");
        portal.recorded(*ids.last().expect("an id"));
        assert!(portal.hooks[0].heard.is_some());
    }

    #[test]
    fn a_contact_that_was_merged_is_told_by_each_of_its_ids_and_one_that_was_erased_by_none() {
        let mut portal = merged();
        for user in [1, 2] {
            assert!(
                matches!(portal.tell((user, 1), first_id(user), 0), Answer::Contact(holds, ..) if holds == (user, 1))
            );
            assert!(matches!(portal.tell((user, 1), first_id(4), 0), Answer::Other));
        }
        assert!(portal.holds(1) == Some((2, 1)) && portal.id_of(1) == portal.id_of(2));
        portal.erase(&mut Rng::with_seed(1));
        assert_eq!(portal.tally.erased, 0, "half of so few");
        let mut portal = Portal::new(Scaled::at(0), 40, true);
        portal.erase(&mut Rng::with_seed(1));
        let gone = (1..=40).find(|user| portal.id_of(*user).is_none()).expect("one");
        assert!(matches!(portal.tell((gone, 0), first_id(gone), 0), Answer::Gone | Answer::Other));
        assert_eq!((portal.holds(gone), portal.tally.told), (None, 0));
    }
}
