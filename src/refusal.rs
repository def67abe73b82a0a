//! Why HubSpot refuses an email for good, and what is to be done.

/// Why HubSpot will not take an email, however often it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(i64)]
pub enum Refusal {
    /// The email was blocked when a contact was deleted for privacy.
    PrivacyDeletion = 1,
    /// HubSpot takes it for no email. It looks at the domain, too.
    InvalidEmail = 2,
    /// The account requires a property that the contact does not have.
    RequiredProperty = 3,
}

impl Refusal {
    /// Why, and what to do, as a sentence's end.
    pub const fn words(self) -> &'static str {
        match self {
            Self::PrivacyDeletion => {
                "the email was blocked when a contact was deleted for privacy; HubSpot is not to hold it again"
            }
            Self::InvalidEmail => "it takes the email for none; correct it in the app, which begins a new change",
            Self::RequiredProperty => {
                "a rule of the account requires a property that was not set; set it with a client of the app's own or \
                 change the rule in HubSpot, then begin a new change"
            }
        }
    }

    /// The name, in snake case: `invalid_email`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrivacyDeletion => "privacy_deletion",
            Self::InvalidEmail => "invalid_email",
            Self::RequiredProperty => "required_property",
        }
    }

    /// By its number in the file; `None`: this version does not know it.
    pub(crate) const fn of(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::PrivacyDeletion),
            2 => Some(Self::InvalidEmail),
            3 => Some(Self::RequiredProperty),
            _ => None,
        }
    }
}
