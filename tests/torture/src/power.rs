//! Power loss. A run is recorded at the VFS: what was written, synced, created and deleted, and which calls had
//! returned by then. Then the power goes off at every one of those steps: of what was not synced some sectors are
//! there, in any of the versions they had, and some are not. What was acknowledged before must be found in each such
//! file.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use vidcache::{Synchronous, UserKey, Vidcache};

use crate::random::Random;
use crate::vfs::{self, Call, Hook};
use crate::world::{self, Model, open, options, verify, vid};
use crate::{Outcome, Run};

const NAME: &str = "hubspot.vidcache";
/// What a disk writes in one piece.
const SECTOR: usize = 512;

#[derive(Debug, Clone)]
enum Step {
    Open(String),
    Delete(String),
    Write(String, usize, Vec<u8>),
    Truncate(String, usize),
    Sync(String),
    SyncFolder,
}

#[derive(Default)]
struct Recorder(Mutex<Vec<Step>>);

impl Hook for Recorder {
    fn before(&self, call: &Call<'_>) -> Option<c_int> {
        let step = match *call {
            Call::Open { name, create } if create || name == NAME || name.ends_with(".new") => Step::Open(name.into()),
            Call::Delete { name } => Step::Delete(name.into()),
            Call::Write { name, at, data } => Step::Write(name.into(), at as usize, data.into()),
            Call::Truncate { name, size } => Step::Truncate(name.into(), size as usize),
            Call::Sync { name } => Step::Sync(name.into()),
            Call::SyncFolder => Step::SyncFolder,
            _ => return None,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
        None
    }
}

impl Recorder {
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A recorded run: `models[k]` is the world once `k` calls had returned, which was after `returned[k]` steps.
struct Recording {
    steps: Vec<Step>,
    models: Vec<Model>,
    returned: Vec<usize>,
    /// The WAL index as it was at the end: of it, too, anything may be on the disk.
    index: Vec<u8>,
}

fn record(random: &mut Random, synchronous: Synchronous, calls: u32) -> Result<Recording, String> {
    let recorder = Arc::new(Recorder::default());
    let dir = crate::shared::folder()?;
    let path = dir.path().join(NAME);
    vfs::install(recorder.clone());
    let open = || Vidcache::open(&path, world::PORTAL, &options(synchronous)).map_err(|e| format!("opening: {e}"));
    let mut cache = open()?;
    let mut model = Model::default();
    let (mut models, mut returned) = (vec![model.clone()], vec![0]);
    for _ in 0..calls {
        let op = model.next(random);
        let token = op.perform(&cache).map_err(|e| format!("{op:?}: {e}"))?;
        model = model.after(&op, token);
        models.push(model.clone());
        returned.push(recorder.len());
        model.check_some(&cache, random)?;
        if random.chance(1) {
            drop(cache);
            cache = open()?;
        }
    }
    if cache.stats().fallback.is_some() {
        return Err(format!("no commit stamp through another VFS: {:?}", cache.stats().fallback));
    }
    let index = fs::read(dir.path().join(format!("{NAME}-shm"))).map_err(|e| e.to_string())?;
    drop(cache);
    vfs::remove();
    let steps = std::mem::take(&mut *recorder.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Recording { steps, models, returned, index })
}

/// A file as the disk has it for certain, and what was done to it since.
#[derive(Default, Clone)]
struct Inode {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    /// A piece of one sector.
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
}

impl Disk {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Open(name) if self.names.contains_key(name) => {}
            Step::Open(name) if name == NAME => {
                // The library makes the file under another name, links it to this one and syncs the folder.
                let made = self
                    .names
                    .iter()
                    .find(|(name, _)| name.ends_with(".new"))
                    .map(|(name, &inode)| (name.clone(), inode));
                if let Some((made, inode)) = made {
                    for names in [&mut self.names, &mut self.durable_names] {
                        names.remove(&made);
                        names.insert(name.clone(), inode);
                    }
                }
            }
            Step::Open(name) => {
                self.names.insert(name.clone(), self.inodes.len());
                self.inodes.push(Inode::default());
            }
            Step::Delete(name) => {
                self.names.remove(name);
            }
            Step::SyncFolder => self.durable_names = self.names.clone(),
            Step::Truncate(name, size) => {
                if let Some(inode) = self.inode(name) {
                    inode.pending.push(Change::Truncate(*size));
                }
            }
            Step::Write(name, at, data) => {
                let Some(inode) = self.inode(name) else { return };
                let mut done = 0;
                while done < data.len() {
                    let room = SECTOR - (at + done) % SECTOR;
                    let end = (done + room).min(data.len());
                    inode.pending.push(Change::Write(at + done, data[done..end].to_vec()));
                    done = end;
                }
            }
            Step::Sync(name) => {
                if let Some(inode) = self.inode(name) {
                    for change in std::mem::take(&mut inode.pending) {
                        apply(&mut inode.durable, &change);
                    }
                }
            }
        }
    }

    fn inode(&mut self, name: &str) -> Option<&mut Inode> {
        self.names.get(name).map(|&inode| &mut self.inodes[inode])
    }

    /// Writes what a power failure might leave.
    fn leave(&self, folder: &Path, random: &mut Random, index: &[u8]) -> Result<(), String> {
        let mut names = self.durable_names.clone();
        for name in self.names.keys().chain(self.durable_names.keys()) {
            // Each entry of the folder is there as it was synced last, or as it is now.
            if random.chance(50) {
                match self.names.get(name) {
                    Some(&inode) => names.insert(name.clone(), inode),
                    None => names.remove(name),
                };
            }
        }
        for (name, inode) in names {
            let bytes = self.inodes[inode].after_loss(random);
            fs::write(folder.join(name), bytes).map_err(|e| e.to_string())?;
        }
        // The index comes into being after the database has its name for certain.
        let left = match random.below(4) {
            _ if !folder.join(NAME).exists() => return Ok(()),
            0 => return Ok(()),
            1 => index.to_vec(),
            2 => vec![0; index.len()],
            _ => (0..index.len()).map(|_| random.next() as u8).collect(),
        };
        fs::write(folder.join(format!("{NAME}-shm")), left).map_err(|e| e.to_string())
    }
}

impl Inode {
    /// Every sector that was written to since the last sync has any of the versions it had since.
    fn after_loss(&self, random: &mut Random) -> Vec<u8> {
        let mut versions: BTreeMap<usize, u64> = BTreeMap::new();
        for change in &self.pending {
            if let Change::Write(at, _) = change {
                *versions.entry(at / SECTOR).or_default() += 1;
            }
        }
        // All of it, nothing, as it was written up to some point, or each sector for itself.
        let kind = random.below(5);
        let cut = random.below(self.pending.len() as u64 + 1) as usize;
        for left in versions.values_mut() {
            *left = match kind {
                0 => 0,
                1 => *left,
                2 => *left,
                _ => random.below(*left + 1),
            };
        }
        let mut bytes = self.durable.clone();
        for (n, change) in self.pending.iter().enumerate() {
            let kept = match (change, kind) {
                (_, 2) => n < cut,
                (Change::Truncate(_), 0) => false,
                (Change::Truncate(_), 1) => true,
                (Change::Truncate(_), _) => random.chance(50),
                (Change::Write(at, _), _) => match versions.get_mut(&(at / SECTOR)) {
                    Some(left) if *left > 0 => {
                        *left -= 1;
                        true
                    }
                    _ => false,
                },
            };
            if kept {
                apply(&mut bytes, change);
            }
        }
        bytes
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Truncate(size) => bytes.resize(*size, 0),
        Change::Write(at, data) => {
            bytes.resize(bytes.len().max(at + data.len()), 0);
            bytes[*at..at + data.len()].copy_from_slice(data);
        }
    }
}

/// Opens what is left after the power went off at a step, and looks for what had been acknowledged.
fn check(path: &Path, recording: &Recording, step: usize, synchronous: Synchronous) -> Result<usize, String> {
    let cache = open(path).map_err(|e| format!("opening: {e}"))?;
    verify(&cache)?;
    let acknowledged = recording.returned.partition_point(|&returned| returned <= step) - 1;
    // The call that was under way may have happened.
    let newest = (acknowledged + 1).min(recording.models.len() - 1);
    let oldest = if synchronous == Synchronous::Full { acknowledged } else { 0 };
    let mut wrong = String::new();
    for found in (oldest..=newest).rev() {
        match recording.models[found].check(&cache) {
            Ok(()) if found > 0 || acknowledged == 0 || synchronous == Synchronous::Normal => {
                cache.link(UserKey::from(999_999), vid(999_999)).map_err(|e| format!("writing: {e}"))?;
                return Ok(acknowledged.saturating_sub(found));
            }
            Ok(()) => wrong = "nothing is left".into(),
            Err(e) => wrong = e,
        }
    }
    Err(format!("{acknowledged} calls were acknowledged: {wrong}"))
}

pub(crate) fn run(run: Run) -> Outcome {
    let (seeds, every) = if run.short { (2, 11) } else { (20, 1) };
    let mut random = Random::new(run.seed);
    let (mut losses, mut steps, mut acknowledged, mut taken, mut checkpoints) = (0, 0, 0, 0, 0);
    for seed in 0..seeds {
        // Now and then with NORMAL, where the last writes may go, but only the last, and nothing is broken.
        let synchronous = if seed % 5 == 1 { Synchronous::Normal } else { Synchronous::Full };
        // Long enough now and then for the checkpoint that SQLite makes by itself, at 1,000 pages.
        let calls = match (run.short, seed % 5) {
            (true, _) => 120,
            (false, 4) => 800,
            _ => 250,
        };
        let recording = record(&mut random, synchronous, calls)?;
        steps += recording.steps.len();
        acknowledged += recording.models.len() - 1;
        checkpoints += recording.steps.iter().filter(|step| matches!(step, Step::Sync(name) if name == NAME)).count();
        let mut disk = Disk::default();
        for step in 0..=recording.steps.len() {
            if step as u64 % every == random.below(every) || step < 60 {
                let dir = crate::shared::folder()?;
                disk.leave(dir.path(), &mut random, &recording.index)?;
                let lost = check(&dir.path().join(NAME), &recording, step, synchronous).map_err(|wrong| {
                    let kept = dir.keep();
                    format!(
                        "run {seed}, power off at step {step} of {} ({:?}): {wrong}; left in {}",
                        recording.steps.len(),
                        recording.steps.get(step).map(brief),
                        kept.display()
                    )
                })?;
                losses += 1;
                taken += lost;
            }
            if let Some(step) = recording.steps.get(step) {
                disk.take(step);
            }
        }
    }
    Ok(format!(
        "{losses} power losses over {steps} steps and {checkpoints} checkpoints of {seeds} runs, {acknowledged} \
         acknowledged calls, 0 lost with FULL ({taken} of the last ones with NORMAL)"
    ))
}

fn brief(step: &Step) -> String {
    match step {
        Step::Write(name, at, data) => format!("write {} bytes to {name} at {at}", data.len()),
        other => format!("{other:?}"),
    }
}
