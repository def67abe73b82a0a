//! What a page may say: the rule, as one pure function.

use crate::email::{Email, Fingerprint};
use crate::identity::Vid;

/// All that the decision depends on: one user's state, as the file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct UserState {
    /// The contact the user is linked to, if any, and what a page gives as its external id.
    pub(crate) identity: Option<crate::identity::Identity>,
    /// The email that HubSpot last said it holds for that contact.
    pub(crate) confirmed: Option<Fingerprint>,
    /// Whether a change of the user's email is outstanding.
    pub(crate) changing: bool,
}

/// Makes [`Reason`] of the table below.
macro_rules! reasons {
    ($($(#[$comment:meta])* $reason:ident = $number:literal, $name:literal;)*) => {
        /// Why a page says what it says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum Reason {
            $($(#[$comment])* $reason = $number,)*
        }

        impl Reason {
            /// Every reason there is, in numeric order.
            pub const ALL: &'static [Reason] = &[$(Self::$reason),*];

            /// The name, in snake case: `change_outstanding`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)*
                }
            }

            /// The number, as C sees it: from 1 without a gap. A number, once released, keeps its meaning for ever.
            pub const fn number(self) -> i32 {
                self as i32
            }
        }
    };
}

reasons! {
    /// The app and HubSpot agree on the email, and no change of it is outstanding.
    Agreed = 1, "agreed";
    /// A change of the user's email has begun and HubSpot's answer is not recorded yet.
    ChangeOutstanding = 2, "change_outstanding";
    /// HubSpot holds another email for this contact.
    EmailDiffers = 3, "email_differs";
    /// HubSpot has not said which email it holds for this contact.
    EmailUnconfirmed = 4, "email_unconfirmed";
    /// The app has no email for this user.
    EmailAbsent = 5, "email_absent";
    /// The user is not linked to a contact.
    NotLinked = 6, "not_linked";
    /// What is known is older than a page may be, or nobody could be asked: the store in the app's database says so.
    Stale = 7, "stale";
}

/// What a page may say of a user: email and id, id alone, or nothing.
///
/// Only [`Vidcache`](crate::Vidcache) makes one, so an email that is named has passed the rule:
///
/// ```compile_fail
/// vidcache::Decision { email: Some("ann@shop.test"), id: None, reason: vidcache::Reason::Agreed };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'e> {
    email: Option<&'e str>,
    id: Option<Vid>,
    reason: Reason,
}

impl<'e> Decision<'e> {
    /// What may be said of a visitor whom the app does not know.
    pub(crate) const ANONYMOUS: Decision<'static> = Decision { email: None, id: None, reason: Reason::NotLinked };

    /// What may be said where what is known cannot be believed to be so now: no email, and the id where it was known.
    #[cfg(any(test, feature = "database"))]
    pub(crate) const fn stale(id: Option<Vid>) -> Decision<'static> {
        Decision { email: None, id, reason: Reason::Stale }
    }

    /// The email to name, as HubSpot holds it: the app's, normalised, or its folded form. Only ever when
    /// [`Reason::Agreed`].
    #[inline]
    pub const fn email(&self) -> Option<&'e str> {
        self.email
    }

    /// The external id to give; `None` when the user has no contact, or one whose id another user gives.
    #[inline]
    pub const fn id(&self) -> Option<Vid> {
        self.id
    }

    /// Why.
    #[inline]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// A decision that nobody made, to test what is done with one.
    #[cfg(test)]
    pub(crate) const fn untrue(email: Option<&'e str>, id: Option<Vid>, reason: Reason) -> Self {
        Self { email, id, reason }
    }
}

/// **The rule.** The page names an email only while the app and HubSpot agree on it: the
/// fingerprint of the app's email equals the one that HubSpot last confirmed for the user's
/// contact, and no change of that user's email is outstanding. Otherwise it gives the external
/// id alone, which never creates a contact, or says nothing.
///
/// Where HubSpot holds the app's email in its folded form (`folded`) they agree too, and the page names that:
/// it names what HubSpot holds, to the letter.
pub(crate) fn decide<'e>(
    state: &UserState,
    email: Option<&'e Email>,
    fingerprint: impl Fn(&str) -> Fingerprint,
) -> Decision<'e> {
    let Some(identity) = state.identity else {
        return Decision::ANONYMOUS;
    };
    let (email, reason) = match (state.confirmed, email) {
        _ if state.changing => (None, Reason::ChangeOutstanding),
        (_, None) => (None, Reason::EmailAbsent),
        (None, _) => (None, Reason::EmailUnconfirmed),
        (Some(held), Some(email)) if held == fingerprint(email.as_str()) => (Some(email.as_str()), Reason::Agreed),
        (Some(held), Some(email)) => match email.folded() {
            Some(folded) if held == fingerprint(folded) => (Some(folded), Reason::Agreed),
            _ => (None, Reason::EmailDiffers),
        },
    };
    Decision { email, id: identity.external_id, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    const HELD: Fingerprint = Fingerprint([1; 16]);
    const OTHER: Fingerprint = Fingerprint([2; 16]);

    #[test]
    fn what_is_stale_names_no_email() {
        let decision = Decision::stale(Vid::new(5));
        assert_eq!((decision.email(), decision.id(), decision.reason()), (None, Vid::new(5), Reason::Stale));
    }

    #[test]
    fn reasons_are_numbered_from_one_without_a_gap() {
        assert!(Reason::ALL.iter().zip(1..).all(|(reason, number)| reason.number() == number));
    }

    #[test]
    fn an_email_that_hubspot_has_folded_is_named_as_hubspot_holds_it_and_no_other_spelling_is() {
        let print = |text: &str| Fingerprint([text.len() as u8; 16]); // Of different lengths here.
        let identity = Some(Identity { vid: Vid::new(9).unwrap(), external_id: None });
        let named = |app: &str, hubspot: &str| {
            let state = UserState { identity, confirmed: Some(print(hubspot)), changing: false };
            let email = Email::parse(app).unwrap();
            decide(&state, Some(&email), print).email().map(str::to_owned)
        };
        let [plain, odd] = ["ann@shop.test", "a\u{200B}nn@shop.test"];
        assert_eq!(named(odd, odd).as_deref(), Some(odd));
        assert_eq!(named(odd, plain).as_deref(), Some(plain));
        assert_eq!(
            named(plain, odd),
            None,
            "HubSpot holds another string, and nobody knows that it finds it by this one"
        );
        assert_eq!(named("än\u{200B}n@shop.test", odd), None);
    }

    /// Every combination of what the decision depends on, against the rule's own words.
    #[test]
    fn an_email_is_named_exactly_when_it_is_agreed_and_no_change_is_outstanding() {
        let email = Email::parse("ann@shop.test").unwrap();
        let vid = |n: i64| Vid::try_from(n).unwrap();
        let linked = Identity { vid: vid(9), external_id: Some(vid(5)) };
        for identity in [None, Some(linked)] {
            for confirmed in [None, Some(HELD), Some(OTHER)] {
                for changing in [false, true] {
                    for given in [None, Some(&email)] {
                        let state = UserState { identity, confirmed, changing };
                        let decision = decide(&state, given, |_| HELD);
                        let agreed = identity.is_some() && confirmed == Some(HELD) && !changing && given.is_some();
                        assert_eq!(decision.email.is_some(), agreed, "{state:?}");
                        assert_eq!(decision.reason == Reason::Agreed, agreed, "{state:?}");
                        assert_eq!(decision.id, identity.map(|_| vid(5)), "the first vid, whatever it became");
                    }
                }
            }
        }
    }
}
