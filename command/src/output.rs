//! What is printed: for a person or for a program.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde_json::Value;

use crate::failure::{Failure, Result};

pub(crate) struct Output {
    pub(crate) json: bool,
    colours: bool,
    to: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|said| said.is_empty());
        Self { json, colours, to: BufWriter::new(io::stdout()) }
    }

    /// One fact, as a line of words or as an object.
    pub(crate) fn say(&mut self, words: impl FnOnce() -> String, object: impl FnOnce() -> Value) -> Result<()> {
        let line = if self.json { object().to_string() } else { words() };
        writeln!(self.to, "{line}").map_err(Failure::Output)
    }

    /// A line for people alone.
    pub(crate) fn words(&mut self, line: &str) -> Result<()> {
        if self.json { Ok(()) } else { writeln!(self.to, "{line}").map_err(Failure::Output) }
    }

    pub(crate) fn raw(&mut self, text: &str) -> Result<()> {
        self.to.write_all(text.as_bytes()).map_err(Failure::Output)
    }

    pub(crate) fn writer(&mut self) -> &mut impl Write {
        &mut self.to
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        self.to.flush().map_err(Failure::Output)
    }

    /// Whether a person looks at it as it comes.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// The text in bold, on a terminal.
    pub(crate) fn bold(&self, text: &str) -> String {
        if self.colours { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}
