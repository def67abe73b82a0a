//! A page that is asked for of the rows in the app's own database: in which form, and what is to be done next for it.

use vidcache::in_database::Form;
use vidcache::{Error, Page};

use crate::error::Failure;
use crate::lookup::Decision;

/// In which form a page is wanted.
#[derive(uniffi::Enum)]
pub enum PageForm {
    /// The decision alone.
    Decision,
    /// HTML, with the nonce of the page's Content-Security-Policy.
    Snippet {
        /// The nonce, or none.
        nonce: Option<String>,
    },
    /// JSON, for a page that the app makes itself.
    Data,
}

/// What is to be done next for a page.
#[derive(Debug, uniffi::Enum)]
pub enum PageStep {
    /// Ask by `prepared`, or, `looks`, by `prepared_look`. The answer goes to `reply`, with the same look.
    Ask {
        /// Whether it is asked besides what others have written, as now and then where answers are kept.
        looks: bool,
        /// What stands for `$1`, and, where answers are kept, for `$2`: texts of hexadecimal digits and `/:,` alone,
        /// which may be put into the statement between apostrophes.
        parameters: Vec<String>,
    },
    /// Ask once more, by `prepared_walk` with the same parameters. Its answer is the last.
    More,
    /// The page.
    Page {
        /// What it may say.
        decision: Decision,
        /// In the form that was wanted; none for `Decision`.
        text: Option<String>,
        /// Why the database's answer was not believed, if it was not; to be reported.
        why: Option<Failure>,
    },
}

impl PageForm {
    pub(crate) fn work(self) -> Form {
        match self {
            Self::Decision => Form::Decision,
            Self::Snippet { nonce } => Form::Snippet(nonce),
            Self::Data => Form::Data,
        }
    }

    pub(crate) fn of(&self, page: &Page<'_>, why: Option<Failure>) -> Result<PageStep, Error> {
        let text = match self {
            Self::Decision => None,
            Self::Snippet { nonce } => Some(page.render(nonce.as_deref())),
            Self::Data => Some(page.data()),
        };
        Ok(PageStep::Page { decision: page.decision().into(), text, why })
    }
}
