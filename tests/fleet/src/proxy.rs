//! What stands between the hosts and the server, and fails as networks do: it waits, cuts, closes one half, and
//! swallows the answer of a COMMIT. It can be pointed to another server, as a managed database's address is.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use fastrand::Rng;

struct State {
    target: Option<PathBuf>,
    open: Vec<UnixStream>,
    /// Of a thousand pieces that go by, how many meet a fault.
    faults: u16,
    random: Rng,
    swallowed: u64,
    /// Whether nothing goes through, either way, and nobody is told.
    is_cut: bool,
}

/// The proxy, which listens on a socket as a server does.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Mutex<State>>);

/// The name that a client looks for in a server's folder.
fn socket(folder: &Path) -> PathBuf {
    folder.join(".s.PGSQL.5432")
}

impl Proxy {
    /// Listens in `folder` for the server in `target`.
    pub(crate) fn listen(folder: &Path, target: &Path, faults: u16, seed: u64) -> io::Result<Self> {
        let random = Rng::with_seed(seed);
        let state =
            State { target: Some(socket(target)), open: Vec::new(), faults, random, swallowed: 0, is_cut: false };
        let proxy = Self(Arc::new(Mutex::new(state)));
        let (listener, of_thread) = (UnixListener::bind(socket(folder))?, proxy.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                of_thread.wait_while_cut();
                of_thread.serve(client);
            }
        });
        Ok(proxy)
    }

    /// Cuts all connections, and leads those to come to another server, or to nobody.
    pub(crate) fn lead_to(&self, target: Option<&Path>) {
        self.state().target = target.map(socket);
        self.end_all();
    }

    /// Ends all connections.
    pub(crate) fn end_all(&self) {
        self.state().open.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    /// From now on everything goes through.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        (state.faults, state.is_cut) = (0, false);
    }

    /// From now on nothing goes through, as where a cable is cut: what is on its way waits, and so does who connects.
    pub(crate) fn cut(&self) {
        self.state().is_cut = true;
    }

    fn wait_while_cut(&self) {
        while self.state().is_cut {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// How many answers of a COMMIT never came.
    pub(crate) fn swallowed(&self) -> u64 {
        self.state().swallowed
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, client: UnixStream) {
        let target = self.state().target.clone();
        let Some(server) = target.and_then(|target| UnixStream::connect(target).ok()) else { return };
        let both = || Some([client.try_clone().ok()?, server.try_clone().ok()?]);
        let Some(kept) = both() else { return };
        let mut state = self.state();
        state.open.retain(|stream| stream.peer_addr().is_ok());
        state.open.extend(kept);
        drop(state);
        for (from, to, answers) in [(client.try_clone(), server.try_clone(), false), (Ok(server), Ok(client), true)] {
            let (Ok(from), Ok(to), proxy) = (from, to, self.clone()) else { return };
            thread::spawn(move || {
                let _ = proxy.hand_on(&from, &to, answers);
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }

    fn hand_on(&self, mut from: &UnixStream, mut to: &UnixStream, answers: bool) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            let piece = &buffer[..read];
            let mut state = self.state();
            let (fault, wait) = (state.random.u16(..1000) < state.faults, state.random.u64(..600));
            let kind = state.random.u8(..4);
            // Answers to a COMMIT say so.
            let committed = answers && piece.windows(7).any(|word| word == b"COMMIT\0");
            let swallow = committed && state.faults > 0 && state.random.u8(..10) == 0;
            state.swallowed += u64::from(swallow);
            drop(state);
            match (swallow, fault, kind) {
                (true, ..) => return Ok(()),
                (_, true, 0) => return Ok(()),
                (_, true, 1) => to.shutdown(Shutdown::Write)?,
                (_, true, _) => thread::sleep(Duration::from_millis(wait)),
                _ => {}
            }
            self.wait_while_cut();
            to.write_all(piece)?;
        }
    }
}
