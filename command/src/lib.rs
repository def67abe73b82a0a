//! The command `vidcache`: for whoever is asked why a page says what it says, or looks after the file.
//!
//! It uses the library's public interface alone. docs/guides/command.md is its guide.

mod arguments;
mod doctor;
mod export;
mod failure;
mod file;
mod import;
mod interrupt;
mod lists;
mod output;
mod progress;
mod serve;
mod system;
mod users;
mod watch;
mod whole;
mod words;

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use arguments::{Arguments, Command};
use failure::{Failure, Result};
use output::Output;

/// Does what the arguments say, the first of which is the command's own name, and returns its exit status. It writes to
/// standard output and standard error, takes SIGINT and SIGTERM for itself in commands that take long, and ends the
/// process where the arguments are none: so it is for a process that does nothing else.
pub fn run(arguments: impl Iterator<Item = OsString>) -> u8 {
    let arguments = Arguments::parse_from(arguments);
    let mut out = Output::new(arguments.json);
    let ended = done(&arguments, &mut out);
    match out.flush().and(ended) {
        Ok(true) => 0,
        Ok(false) => failure::SOMETHING_IS_WRONG,
        Err(failure) => failure.tell(arguments.json),
    }
}

/// False: what was asked for was done, and the output names something that is wrong.
fn done(arguments: &Arguments, out: &mut Output) -> Result<bool> {
    let file = &arguments.file;
    match &arguments.command {
        Command::Show(about) => users::show(file, about, out),
        Command::Explain(about) => users::explain(file, about, out),
        Command::Forget(whom) => users::forget(file, whom, out),
        Command::List(list) => lists::list(file, list, out),
        Command::Conflicts(some) => lists::conflicts(file, some.limit, out),
        Command::Import(rows) => import::import(file, rows, out),
        Command::Export(to) => export::export(file, to, out),
        Command::Serve(how) => serve::serve(file, how, out),
        Command::Watch(how) => watch::watch(file, how, out),
        Command::Stats => whole::stats(file, out),
        Command::Doctor => doctor::doctor(file, out),
        Command::Verify => whole::verify(file, out),
        Command::Doubt(sure) => whole::doubt(file, sure, out),
        Command::MoveAside(sure) => whole::move_aside(file, sure, out),
        Command::Backup(copy) => whole::backup(file, copy, out),
        Command::Restore(copy) => whole::restore(file, copy, out),
        Command::Rekey(secrets) => whole::rekey(file, secrets, out),
        Command::Manual => manual(out),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Arguments::command(), "vidcache", out.writer());
            Ok(true)
        }
    }
}

/// The manual of the command, and of each of its commands after it, as one page.
fn manual(out: &mut Output) -> Result<bool> {
    let mut command = Arguments::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(out.writer()).map_err(Failure::Output)?;
    for part in command.get_subcommands().filter(|part| !part.is_hide_set() && part.get_name() != "help") {
        out.raw(&format!(".SH \"VIDCACHE {}\"\n", part.get_name().to_uppercase()))?;
        let page = clap_mangen::Man::new(part.clone());
        page.render_description_section(out.writer()).map_err(Failure::Output)?;
        page.render_synopsis_section(out.writer()).map_err(Failure::Output)?;
        page.render_options_section(out.writer()).map_err(Failure::Output)?;
    }
    Ok(true)
}
