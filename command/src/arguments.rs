//! What the command is told: its arguments, which are its manual and what shells complete as well.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::export::Export;
use crate::import::Import;
use crate::serve::Serve;
use crate::watch::Watch;

/// How each way of ending is told to a program; `failure` has the same table.
const EXIT: &str = "Exit status:
  0    done
  1    done, and something is wrong, which the output names
  2    the arguments, or the rows that were to be imported, are wrong
  3    what the file knows, or HubSpot said, is against it
  4    the file cannot be opened as it is, where it is, or with this secret
  5    the file was busy: try again
  6    the disk, the file or another file failed
  7    a defect of vidcache
  130  interrupted";

const SECRET: &str = "The secret never is an argument, since every user of a system sees those: \
    it is in the variable\nVIDCACHE_SECRET, or in a file (--secret-file). A line's end after it is not part of it.";

/// Looks into the file of a vidcache, checks it, fills it, and mends what an operator can.
#[derive(Parser)]
#[command(name = "vidcache", version, after_help = EXIT, after_long_help = format!("{SECRET}\n\n{EXIT}"))]
#[command(disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) file: File,
    /// Prints JSON: an object, or for a list an object a line. Errors, on standard error, too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which file, and how it is opened.
#[derive(Args)]
pub(crate) struct File {
    /// The cache's file.
    #[arg(
        long = "file",
        short = 'f',
        global = true,
        env = "VIDCACHE_FILE",
        hide_env_values = true,
        value_name = "FILE"
    )]
    pub(crate) path: Option<PathBuf>,
    /// The HubSpot portal that the file must belong to; without it whichever it belongs to.
    #[arg(long, global = true, env = "VIDCACHE_PORTAL_ID", hide_env_values = true, value_name = "ID")]
    pub(crate) portal: Option<i64>,
    /// A file with the secret, in place of the variable VIDCACHE_SECRET.
    #[arg(long, global = true, env = "VIDCACHE_SECRET_FILE", hide_env_values = true, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The secret is a Rails app's secret_key_base: the file's is derived from it as the gem does.
    #[arg(long, global = true)]
    pub(crate) rails: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Shows what the file holds on a user, or on all users of a contact.
    Show(Whom),
    /// Says why a page says of a user what it says, and their last events.
    Explain(About),
    /// Lists users for a reason, the longest waiting first.
    List(List),
    /// Lists users whose email another contact holds, or whose contact is another user's.
    Conflicts(Some),
    /// Counts what is in the file, what waits, and what the file takes.
    Stats,
    /// Shows what stats and the lists say, again and again, until Ctrl-C.
    Watch(Watch),
    /// Looks at the file, its place, its secret, its waiting changes and the clock, and says what to do.
    Doctor,
    /// Reads the whole file and names what is wrong with it; nobody waits for that.
    Verify,
    /// Takes in users and their contacts, and emails that HubSpot held: of the app's table, or of HubSpot's export.
    Import(Import),
    /// Writes all users and their contacts, as import takes them. Emails are not in the file.
    Export(Export),
    /// Takes in HubSpot's webhooks, for apps that have no place for them: an HTTP server behind a proxy.
    Serve(Serve),
    /// Takes out all that is held on a user who is gone. Lock their jobs out meanwhile.
    Forget(Gone),
    /// After an old copy of the file was put back: no page names an email until HubSpot says it anew.
    Doubt(Sure),
    /// Moves a file that will not open out of the way, while no process has it open.
    MoveAside(Sure),
    /// Copies the file, as of one commit, while the app goes on. Other copies of a file in use are not whole.
    Backup(Backup),
    /// Puts a backup in the place of the file, while no process has it open. What was there is moved aside.
    Restore(Restore),
    /// Wraps the file's key under the secret, where it is wrapped under the one before. Nothing is lost.
    Rekey(Rekey),
    /// Prints the manual, for man: vidcache manual > vidcache.1
    Manual,
    /// Prints what a shell completes the command by.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whom {
    /// The app's own id of the user.
    pub(crate) user: Option<String>,
    /// A HubSpot contact's id, also one that was merged into another: all of its users.
    #[arg(long, value_name = "ID")]
    pub(crate) contact: Option<String>,
}

#[derive(Args)]
pub(crate) struct About {
    /// The app's own id of the user.
    pub(crate) user: String,
    /// The app's email of the user, which is compared and not kept. Others of this system see an argument while the
    /// command runs: a dash reads it from standard input, or asks for it on a terminal.
    #[arg(long, value_name = "EMAIL", allow_hyphen_values = true)]
    pub(crate) email: Option<String>,
}

#[derive(Args)]
pub(crate) struct List {
    /// Why a user is listed.
    #[arg(long)]
    pub(crate) reason: Reason,
    /// For longer than this: a number with s, m, h or d. Without it: since ever, and of confirmed-long-ago 30d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) older_than: Option<Duration>,
    #[command(flatten)]
    pub(crate) some: Some,
}

#[derive(Args)]
pub(crate) struct Some {
    /// The most users that are listed.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A change of the email is on its way: the page gives the id alone.
    ChangeOutstanding,
    /// HubSpot has not said which email it holds for the contact now: the page gives the id alone.
    EmailUnconfirmed,
    /// HubSpot confirmed the email so long ago that somebody may have changed it since.
    ConfirmedLongAgo,
    /// Another contact holds the email, or another user has the contact.
    Conflict,
}

#[derive(Args)]
pub(crate) struct Gone {
    /// The app's own id of the user.
    pub(crate) user: String,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Args)]
pub(crate) struct Sure {
    /// Does not ask whether it is meant.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Args)]
pub(crate) struct Backup {
    /// A new file, which gets the copy.
    pub(crate) to: PathBuf,
}

#[derive(Args)]
pub(crate) struct Restore {
    /// The backup, which stays as it is.
    pub(crate) from: PathBuf,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Args)]
pub(crate) struct Rekey {
    /// A file with the secret before. Once for each that there may have been.
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) old_secret_file: Vec<PathBuf>,
}

/// A number and a unit: `90s`, `15m`, `1h`, `30d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "it is a number with a unit: 90s, 15m, 1h, 30d".to_owned();
    let unit = match text.chars().last() {
        Option::Some('s') => 1,
        Option::Some('m') => 60,
        Option::Some('h') => 3600,
        Option::Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|seconds| *seconds <= 100 * 366 * 86_400).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_made() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_time_is_a_number_with_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for text in ["", "1", "h", "-1h", "1.5h", "1 h", "99999999999999999999d", "1é"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
