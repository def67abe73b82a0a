//! What ends the command early, in words with what to do, and as an exit status.

use std::fmt;
use std::io;

use serde_json::json;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The status of a command that did what it was told, and found something wrong.
pub(crate) const SOMETHING_IS_WRONG: u8 = 1;

#[derive(Debug)]
pub(crate) enum Failure {
    /// What the library says, and what else to know about it here.
    Library(vidcache::Error, Option<&'static str>),
    /// The arguments contradict each other, or one is missing.
    Usage(String),
    /// What was to be taken in is not what it should be.
    Input(String),
    /// Another file than the cache's: what could not be done with it.
    File(String),
    /// Ctrl-C: what was done until then.
    Interrupted(String),
    /// Standard output: most often a pipe whose reader is gone.
    Output(io::Error),
}

impl From<vidcache::Error> for Failure {
    fn from(error: vidcache::Error) -> Self {
        Self::Library(error, None)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library(error, None) => error.fmt(f),
            Self::Library(error, Some(hint)) => write!(f, "{error}. {hint}"),
            Self::Usage(what) | Self::Input(what) | Self::File(what) => f.write_str(what),
            Self::Interrupted(done) => write!(f, "interrupted: {done}"),
            Self::Output(error) => write!(f, "the output cannot be written: {error}"),
        }
    }
}

impl Failure {
    /// The library's name and number of it, or the command's own name.
    fn code(&self) -> (&'static str, Option<i32>) {
        match self {
            Self::Library(error, _) => (error.code().name(), Some(error.code().number())),
            Self::Usage(_) => ("usage", None),
            Self::Input(_) => ("input", None),
            Self::File(_) => ("file", None),
            Self::Interrupted(_) => ("interrupted", None),
            Self::Output(_) => ("output", None),
        }
    }

    /// As the manual's table says.
    fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Input(_) => 2,
            Self::Output(_) | Self::File(_) => 6,
            Self::Interrupted(_) => 130,
            Self::Library(error, _) => match error.code().number() {
                101..=199 => 2,
                201..=299 => 3,
                301..=399 => 4,
                401..=402 => 5,
                403..=499 => 6,
                _ => 7,
            },
        }
    }

    pub(crate) fn tell(&self, as_json: bool) -> u8 {
        if let Self::Output(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            // The reader has seen enough.
            return 0;
        }
        let (code, number) = self.code();
        let message = self.to_string();
        if as_json {
            eprintln!("{}", json!({"error": {"code": code, "number": number, "message": message}}));
        } else if number.is_some() {
            eprintln!("vidcache: {message} ({code}: see docs/troubleshooting.md)");
        } else {
            eprintln!("vidcache: {message}");
        }
        self.status()
    }
}
