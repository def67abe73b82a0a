//! Random walks through a world, and the shortest way to what one of them found.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::acts::Act;
use crate::checks::{Fault, Kind};
use crate::rules::{Rules, Ways};
use crate::world::World;

/// SplitMix64.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % below as u64) as usize
    }
}

/// What the walks of a world came to.
#[derive(Default)]
pub(crate) struct Walks {
    pub(crate) walks: u32,
    pub(crate) steps: u64,
    pub(crate) excused: u32,
    /// How many walks met a fault, and the shortest of them.
    pub(crate) found: BTreeMap<Fault, (u32, Vec<Act>)>,
}

impl Walks {
    pub(crate) fn count(&self, kind: Kind) -> u32 {
        self.found.iter().filter(|(fault, _)| fault.kind == kind).map(|(_, (count, _))| count).sum()
    }

    /// A line for each fault, with steps that show it; if it is to be short, with the fewest.
    pub(crate) fn told(&self, rules: Rules, ways: Ways, short: bool) -> String {
        let mut text = String::new();
        for (fault, (count, acts)) in &self.found {
            let acts = if short { shorten(rules, ways, acts.clone(), fault) } else { acts.clone() };
            let _ = writeln!(text, "  {count} × {fault}\n    {acts:?}");
            if std::env::var("DIARY").is_ok() {
                for line in diary(rules, ways, &acts) {
                    let _ = writeln!(text, "      {line}");
                }
            }
        }
        text
    }
}

/// One more walk. What endangers a visitor ends it; what is left undone is only seen at the end.
pub(crate) fn walk(rules: Rules, ways: Ways, from: &[Act], dice: &mut Dice, walks: &mut Walks) {
    let mut world = World::new(rules, ways);
    let mut acts = from.to_vec();
    for act in from {
        assert!(world.act(*act), "{act:?} cannot be done there");
    }
    for _ in 0..8 + dice.roll(40) {
        let choices = world.choices();
        let act = choices[dice.roll(choices.len())];
        if world.act(act) {
            acts.push(act);
        }
        if !world.faults.is_empty() {
            break;
        }
    }
    if world.faults.is_empty() {
        world.judge();
    }
    walks.walks += 1;
    walks.steps += acts.len() as u64;
    walks.excused += world.excused;
    world.faults.sort();
    world.faults.dedup();
    for fault in world.faults.drain(..) {
        let (count, shortest) = walks.found.entry(fault).or_insert_with(|| (0, acts.clone()));
        *count += 1;
        if acts.len() < shortest.len() {
            shortest.clone_from(&acts);
        }
    }
}

/// What the steps lead to.
pub(crate) fn play(rules: Rules, ways: Ways, acts: &[Act]) -> Vec<Fault> {
    let mut world = World::new(rules, ways);
    for act in acts {
        world.act(*act);
        if !world.faults.is_empty() {
            return world.faults;
        }
    }
    world.judge();
    world.faults
}

fn diary(rules: Rules, ways: Ways, acts: &[Act]) -> Vec<String> {
    let mut world = World::new(rules, ways);
    world.diary = Some(Vec::new());
    for act in acts {
        world.act(*act);
    }
    world.note(|| "--".into());
    world.judge();
    world.diary.unwrap_or_default()
}

/// Leaves out every step without which the fault is still there.
fn shorten(rules: Rules, ways: Ways, mut acts: Vec<Act>, fault: &Fault) -> Vec<Act> {
    loop {
        let before = acts.len();
        for at in (0..before).rev() {
            if at < acts.len() {
                let mut fewer = acts.clone();
                fewer.remove(at);
                if play(rules, ways, &fewer).contains(fault) {
                    acts = fewer;
                }
            }
        }
        if acts.len() == before {
            return acts;
        }
    }
}
