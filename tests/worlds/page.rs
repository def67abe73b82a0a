//! Pages: what one says, and what HubSpot makes of its requests.

use std::collections::BTreeSet;

use crate::checks::Kind;
use crate::hubspot::Mail;
use crate::world::World;

/// For how long a request of a page may still bring its email to HubSpot: the page's deadline of 10 s, and 5 s on the
/// way.
const NAMES_FOR: i64 = 15_000;

/// A page that was rendered. It makes requests for as long as it is open, and all of them say what it said.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) person: u32,
    pub(crate) email: Option<Mail>,
    /// The contact that the library had for the user.
    pub(crate) vid: Option<i64>,
    pub(crate) id: Option<i64>,
    pub(crate) at: i64,
    /// What was known of deeds inside HubSpot when it was rendered.
    pub(crate) heard: BTreeSet<usize>,
}

impl World {
    /// A request of the page comes to HubSpot: a page view, an event, a click.
    pub(crate) fn request(&mut self, page: &Page) {
        let email = page.email.filter(|_| self.now - page.at < NAMES_FOR);
        let me = 1 << page.person;
        let bound = page.id.and_then(|id| self.hubspot.identified(id));
        let named = email.and_then(|email| self.hubspot.named(email));
        if let Some(email) = email
            && named.is_none()
        {
            // By what the email was let go of last; or the user's own contact before.
            let freed = self.hubspot.freed[email as usize].clone().unwrap_or_default();
            let own = page.vid.map_or_else(Vec::new, |vid| self.hubspot.taken_by(vid, email));
            self.blame(Kind::S1, "an email that HubSpot does not hold", &[freed, own].concat(), &page.heard);
            return;
        }
        for (vid, what) in [(named, "by the email"), (bound, "by the id")] {
            let Some(vid) = vid else { continue };
            let contact = &self.hubspot.contacts[&vid];
            if contact.people & me == 0 && contact.people != 0 {
                let freed = email.and_then(|email| self.hubspot.freed[email as usize].clone()).unwrap_or_default();
                // HubSpot binds an id for ever, if to the wrong contact, to that.
                let misled = page.id.and_then(|id| self.misled.get(&id)).cloned().unwrap_or_default();
                let own = page.vid.zip(email).map_or_else(Vec::new, |(vid, email)| self.hubspot.taken_by(vid, email));
                let deeds = [&contact.deeds[..], &freed, &own, &misled].concat();
                let heard = if misled.is_empty() { page.heard.clone() } else { BTreeSet::new() };
                self.blame(Kind::S2, &format!("told to be somebody else {what}"), &deeds, &heard);
                if let (Some(id), "by the email") = (page.id, what) {
                    self.misled.insert(id, deeds);
                }
            }
        }
        if let (Some(id), Some(vid)) = (page.id, named) {
            self.hubspot.bind(id, vid);
        }
    }
}
