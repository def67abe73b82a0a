//! The command `vidcache`, for the gem's executable of that name.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use magnus::{Error, Object, RArray, RModule, RString, Ruby, TryConvert, function};

use crate::error::edge;

/// Does what the arguments say, and gives the exit status. It has the process for itself: no other thread of Ruby's
/// runs meanwhile, and signals are the command's.
fn run_command(ruby: &Ruby, arguments: RArray) -> Result<u8, Error> {
    edge(ruby, || {
        let mut all = vec![OsString::from("vidcache")];
        for argument in arguments.into_iter() {
            let argument = RString::try_convert(argument)?;
            // SAFETY: the bytes are copied before anything else of Ruby's runs. Names of files are bytes, and no text.
            all.push(OsString::from_vec(unsafe { argument.as_slice() }.to_vec()));
        }
        Ok(vidcache_command::run(all.into_iter()))
    })
}

pub(crate) fn define(vidcache: RModule) -> Result<(), Error> {
    vidcache.define_singleton_method("run_command", function!(run_command, 1))
}
