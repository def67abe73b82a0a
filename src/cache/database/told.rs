//! What the answers of the tables are told as.

use crate::database::head::Distrust;
use crate::snippet::Page;

/// What became of an answer about one user.
#[derive(Clone)]
pub enum Reply<'a> {
    /// There is more to ask: this statement, or, by a client that keeps statements prepared,
    /// [`Database::prepared_walk`](super::Database::prepared_walk). Its answer goes to
    /// [`Database::reply`](super::Database::reply) with the same look, and is the last.
    More(String),
    /// The page, and why the answer was not believed, if it was not. Then the page's reason is
    /// [`Reason::Stale`](crate::Reason::Stale).
    Page(Page<'a>, Option<Distrust>),
}

/// What memory has for a page.
#[derive(Clone)]
pub enum Recalled<'a> {
    /// The page: nothing is to be asked.
    Page(Page<'a>),
    /// The database is to be asked, with this as the second parameter.
    Ask(String),
}

/// Some of a list, and from where it goes on. Fewer than were asked for, or none, is not the end of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<T, P> {
    /// The items that are meant, of those that were looked at.
    pub items: Vec<T>,
    /// The `after` of the next part. `None`: that was the last.
    pub next: Option<P>,
}
