//! The command `vidcache` by itself. What it does is the library's, which the gem has too.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(vidcache_command::run(std::env::args_os()))
}
