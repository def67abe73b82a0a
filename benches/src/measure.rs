//! Medians of rounds. In each round every variant has its turn, so that all meet the same machine, and a ratio
//! is one of neighbours in time.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Nanoseconds per operation, a number for each round.
pub(crate) type Rounds = Vec<f64>;

/// Gives each variant a turn in every round. The order turns too: whoever comes first has the cache as the last
/// one left it.
pub(crate) fn interleave<const N: usize>(rounds: usize, variants: [&mut dyn FnMut() -> f64; N]) -> [Rounds; N] {
    let mut times: [Rounds; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for round in 0..rounds {
        for turn in 0..N {
            let at = (round + turn) % N;
            times[at].push(variants[at]());
        }
    }
    times
}

pub(crate) fn median(numbers: &[f64]) -> f64 {
    quantile(numbers, 0.5)
}

pub(crate) fn quantile(numbers: &[f64], part: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

/// The median of the rounds' ratios.
pub(crate) fn ratio(times: &[f64], baselines: &[f64]) -> f64 {
    median(&times.iter().zip(baselines).map(|(time, baseline)| time / baseline).collect::<Vec<_>>())
}

/// The median of the rounds' differences.
pub(crate) fn difference(times: &[f64], baselines: &[f64]) -> f64 {
    median(&times.iter().zip(baselines).map(|(time, baseline)| time - baseline).collect::<Vec<_>>())
}

/// Nanoseconds per key: once over all keys unmeasured, to have them where they would be, and then `passes` times.
#[inline(never)]
pub(crate) fn per_key(keys: &[i64], passes: usize, mut look_up: impl FnMut(i64) -> i64) -> f64 {
    let mut sum = 0i64;
    for &key in keys {
        sum = sum.wrapping_add(look_up(key));
    }
    let start = Instant::now();
    for _ in 0..passes {
        for &key in keys {
            sum = sum.wrapping_add(look_up(key));
        }
    }
    let time = start.elapsed();
    black_box(sum);
    time.as_nanos() as f64 / (keys.len() * passes) as f64
}

/// The same where each look-up waits for the answer before it, as it does in an app, whose look-ups are far apart:
/// in [`per_key`] a processor works on several at once, and on more of them the shorter they are.
#[inline(never)]
pub(crate) fn per_key_in_turn(keys: &[i64], passes: usize, mut look_up: impl FnMut(i64) -> i64) -> f64 {
    // Zero, though the compiler cannot know.
    let nothing = black_box(0i64);
    let mut last = 0;
    per_key(keys, passes, |key| {
        last = look_up(key ^ (last & nothing));
        last
    })
}

/// Nanoseconds per call of `work`, called for about so long. For what the disk may make slow.
pub(crate) fn per_call(time: Duration, mut work: impl FnMut()) -> f64 {
    let (start, mut calls) = (Instant::now(), 0);
    loop {
        work();
        calls += 1;
        let elapsed = start.elapsed();
        if elapsed >= time {
            return elapsed.as_nanos() as f64 / f64::from(calls);
        }
    }
}

/// A time in nanoseconds as text: two or three figures, in the unit that fits.
pub(crate) fn nanoseconds(value: f64) -> String {
    let (value, unit) = match value {
        v if v.abs() < 999.5 => (v, "ns"),
        v if v.abs() < 999_500.0 => (v / 1e3, "µs"),
        v => (v / 1e6, "ms"),
    };
    let digits = match value.abs() {
        v if v < 10.0 => {
            if unit == "ns" {
                1
            } else {
                2
            }
        }
        v if v < 100.0 && unit != "ns" => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}
