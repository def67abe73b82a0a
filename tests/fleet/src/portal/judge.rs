//! The judge of pages: a page is wrong if HubSpot held another email for the user's contact at any time at which the
//! page could come.
//!
//! Excused is, by its cause, what was done inside HubSpot as long as nothing had told the library of it: until a merge
//! was heard, neither a page that was asked for nor a job that had its turn could know whose the contact is too.

use super::Address;
use crate::scaled::TRANSIT;

/// For how long a page may name an email, from the time of what it knows, in milliseconds.
const DEADLINE: i64 = 10_000;

/// A page that named an email, from when it was rendered until its last request may have come to HubSpot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) user: u32,
    pub(crate) email: u32,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl Page {
    /// The time of what it knows: it may have been under way for long since then.
    pub(super) fn knew(self) -> i64 {
        self.until.saturating_sub(DEADLINE + TRANSIT).min(self.from)
    }
}

/// What a contact's email was changed by.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    /// It has always been so.
    First,
    /// A job told HubSpot of another email: whose, and when it had asked for its turn.
    Told { user: u32, turn: i64 },
    /// A merge or an erasure inside HubSpot, of which these webhooks tell.
    Inside(Vec<usize>),
}

/// Which email the user's contact holds from then on; none once it is erased.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) at: i64,
    pub(super) address: Option<Address>,
    pub(super) cause: Cause,
}

/// What took the page's email from the user's contact, if that holds another one at some time of the page's.
pub(super) fn contradiction(held: &[Held], page: Page) -> Option<&Held> {
    let own = Some((page.user, page.email));
    let mut taken = None;
    for (at, one) in held.iter().enumerate() {
        if one.address == own {
            taken = None;
            continue;
        }
        let by = *taken.get_or_insert(one);
        let until = held.get(at + 1).map_or(i64::MAX, |next| next.at);
        if one.at < page.until && until > page.from {
            return Some(by);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(all: &[(i64, u32, u32)]) -> Vec<Held> {
        let one = |&(at, user, email)| Held { at, address: Some((user, email)), cause: Cause::Told { user, turn: at } };
        all.iter().map(one).collect()
    }

    #[test]
    fn a_page_is_wrong_if_hubspot_holds_another_email_at_any_time_at_which_it_may_come() {
        let held = held(&[(0, 1, 7), (100, 1, 8), (200, 1, 7)]);
        let wrong = |email, from, until| contradiction(&held, Page { user: 1, email, from, until }).is_some();
        assert_eq!(
            [wrong(7, 10, 100), wrong(7, 10, 101), wrong(7, 199, 250), wrong(7, 200, 900)],
            [false, true, true, false]
        );
        assert_eq!([wrong(8, 100, 200), wrong(8, 99, 150), wrong(8, 150, 201)], [false, true, true]);
    }

    #[test]
    fn what_took_an_email_away_is_what_followed_its_last_time() {
        let held = held(&[(0, 1, 7), (100, 2, 1), (200, 3, 1), (300, 1, 7), (400, 4, 1)]);
        let taken = |from, until| contradiction(&held, Page { user: 1, email: 7, from, until }).map(|held| held.at);
        assert_eq!(
            [taken(10, 150), taken(250, 260), taken(310, 420), taken(310, 400)],
            [Some(100), Some(100), Some(400), None]
        );
    }
}
