//! The worlds.

use crate::hubspot::Nature;
use crate::rules::{Rules, Start};

const NATURE: Nature = Nature { skew: 0, merged_is_missing: false, restore_moves: false };

/// What an app does alone, with all its jobs and webhooks late, lost or twice.
pub(crate) const APP: Rules = Rules {
    users: 2,
    start: Start::Recorded,
    nature: NATURE,
    crashes: true,
    twice: true,
    enqueued_email: false,
    stale_pages: true,
    batch_reads: false,
    accounts: false,
    keys_again: false,
    shares: false,
    false_missing: false,
    lose_file: false,
    old_copies: false,
    lose_webhooks: false,
    edits: false,
    merges: false,
    deletions: false,
    erasures: false,
    forms: false,
};

const fn behind(milliseconds: i64) -> Nature {
    Nature { skew: milliseconds, ..NATURE }
}

pub(crate) const WORLDS: &[(&str, Rules)] = &[
    ("one user", Rules { users: 1, ..APP }),
    ("two users", APP),
    ("three users", Rules { users: 3, ..APP }),
    ("jobs tell the email they were enqueued with", Rules { enqueued_email: true, ..APP }),
    ("batch reads that are applied late", Rules { batch_reads: true, ..APP }),
    ("webhooks' clock 2 s behind", Rules { nature: behind(2000), ..APP }),
    ("webhooks' clock 2 s ahead", Rules { nature: behind(-2000), ..APP }),
    ("a 404 that was wrong", Rules { false_missing: true, ..APP }),
    ("accounts come and go", Rules { accounts: true, ..APP }),
    ("keys are handed out again", Rules { accounts: true, keys_again: true, ..APP }),
    ("adopted by a column of ids", Rules { start: Start::Column, ..APP }),
    ("adopted without ids", Rules { start: Start::Unlinked, ..APP }),
    ("adopted without ids, accounts come and go", Rules { start: Start::Unlinked, accounts: true, forms: true, ..APP }),
    ("the file is lost", Rules { lose_file: true, ..APP }),
    ("the file is lost, a column of ids", Rules { lose_file: true, start: Start::Column, ..APP }),
    ("the file is lost, accounts come and go", Rules { lose_file: true, accounts: true, ..APP }),
    ("forms", Rules { forms: true, ..APP }),
    ("deletions and restorations", Rules { deletions: true, ..APP }),
    ("deletions, forms, batch reads", Rules { deletions: true, forms: true, batch_reads: true, ..APP }),
    ("merges", Rules { merges: true, ..APP }),
    ("merges, webhooks lost", Rules { merges: true, lose_webhooks: true, ..APP }),
    (
        "merges, a PATCH of a merged id is refused",
        Rules { merges: true, nature: Nature { merged_is_missing: true, ..NATURE }, ..APP },
    ),
    ("merges, deletions, forms, three users", Rules { users: 3, merges: true, deletions: true, forms: true, ..APP }),
    ("edits", Rules { edits: true, ..APP }),
    ("edits, webhooks lost", Rules { edits: true, lose_webhooks: true, ..APP }),
    ("erasures, merges, forms", Rules { erasures: true, merges: true, forms: true, ..APP }),
    ("erasures, accounts come and go", Rules { erasures: true, accounts: true, ..APP }),
    ("contacts that are shared", Rules { shares: true, ..APP }),
    (
        "everything",
        Rules {
            users: 3,
            batch_reads: true,
            accounts: true,
            keys_again: true,
            shares: true,
            false_missing: true,
            lose_file: true,
            lose_webhooks: true,
            edits: true,
            merges: true,
            deletions: true,
            erasures: true,
            forms: true,
            ..APP
        },
    ),
    ("an old copy of the file is put back, and doubted", Rules { old_copies: true, ..APP }),
    (
        "an old copy, doubted, batch reads and webhooks lost",
        Rules { old_copies: true, batch_reads: true, lose_webhooks: true, ..APP },
    ),
];
