//! The weaker clients, each of which the rig has to catch.

use postgres::Client;
use vidcache::ChangeToken;
use vidcache::in_database::Turn;

use crate::watcher::without_who_is_open;

/// What is taken out of the client's side, so that a page believes what it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Nothing: the library as it is.
    Design,
    /// A replica's answer does not say that it is one.
    ReplicaBelieved,
    /// An old snapshot's answer does not say that it is one.
    SnapshotBelieved,
    /// The clocks are read when the answer is there.
    LookTakenLate,
    /// The same question gets the same answer again, as of a cache of answers.
    AnswerKept,
    /// The quiet period is counted from when the change was written, instead of when it was seen committed.
    QuietFromWrite,
    /// HubSpot is told at once.
    NoQuiet,
    /// The user's own row is believed, though it says that the contact may be others' too.
    SharersOverlooked,
    /// A change that was seen once is not seen again for those who came to the contact since.
    ComersOverlooked,
    /// Of kept answers nobody hears what was open at the last look, as by a sequence's last number.
    SequenceKept,
    /// Kept answers are believed however old they are, and a page does not tell their age.
    AgeOverlooked,
}

impl Variant {
    /// All but the design.
    pub const WEAKER: [Self; 8] = [
        Self::ReplicaBelieved,
        Self::SnapshotBelieved,
        Self::LookTakenLate,
        Self::AnswerKept,
        Self::QuietFromWrite,
        Self::NoQuiet,
        Self::SharersOverlooked,
        Self::ComersOverlooked,
    ];

    /// Those of who keeps answers.
    pub const WATCHING: [Self; 2] = [Self::SequenceKept, Self::AgeOverlooked];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Design => "design",
            Self::ReplicaBelieved => "a replica is believed",
            Self::SnapshotBelieved => "an old snapshot is believed",
            Self::LookTakenLate => "the look is taken late",
            Self::AnswerKept => "an answer is kept",
            Self::QuietFromWrite => "quiet from the write",
            Self::NoQuiet => "no quiet period",
            Self::SharersOverlooked => "sharers are overlooked",
            Self::ComersOverlooked => "comers are overlooked",
            Self::SequenceKept => "watch by a sequence",
            Self::AgeOverlooked => "watch of any age",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::WEAKER.into_iter().chain(Self::WATCHING).chain([Self::Design]).find(|variant| variant.name() == name)
    }

    /// Whether contacts are merged and shared in a run of it: where it is about something else, that comes sooner
    /// without.
    pub(super) fn shares(self) -> bool {
        matches!(self, Self::Design | Self::SharersOverlooked | Self::ComersOverlooked)
    }

    /// An answer as it is believed.
    pub(super) fn believed(self, answer: String) -> String {
        match self {
            Self::ReplicaBelieved => answer
                .replace("\"standby\" : true", "\"standby\" : false")
                .replace("\"read_only\" : true", "\"read_only\" : false"),
            Self::SnapshotBelieved => answer.replace("\"repeatable read\"", "\"read committed\""),
            Self::SharersOverlooked => answer.replace("\"more\" : true", "\"more\" : false"),
            Self::SequenceKept => without_who_is_open(&answer),
            _ => answer,
        }
    }

    /// A turn as it is taken: `again`, of a change that was seen before.
    pub(super) fn taken(self, turn: Turn, again: bool) -> Turn {
        match (self, turn) {
            (_, Turn::Ended) => turn,
            (Self::NoQuiet, _) => Turn::Now,
            (Self::ComersOverlooked, Turn::See) if again => Turn::Now,
            _ => turn,
        }
    }

    /// After a change was said to be seen.
    pub(super) fn after_see(self, client: &mut Client, token: ChangeToken) -> Result<(), postgres::Error> {
        if self != Self::QuietFromWrite {
            return Ok(());
        }
        let token = token.get();
        client.batch_execute(&format!("UPDATE vidcache_changes SET seen_at = begun_at + 1 WHERE token = {token}"))
    }
}
