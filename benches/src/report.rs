//! From facts to the table, the chart and the JSON.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::measure::nanoseconds;
use crate::table::{Bound, Check, Kind, LIMITS, PEERS, ROWS, Row};
use crate::{Result, chart};

type Facts = HashMap<String, Map<String, Value>>;

/// `FACTS… --docs FOLDER [--json FILE] [--check] [--note TEXT]…`
#[derive(Default)]
struct Options {
    facts: Vec<PathBuf>,
    docs: Option<PathBuf>,
    json: Option<PathBuf>,
    check: bool,
    /// What the table says of the run.
    notes: Vec<String>,
    quick: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
            match argument.as_str() {
                "--docs" => options.docs = Some(value()?.into()),
                "--json" => options.json = Some(value()?.into()),
                "--note" => options.notes.push(value()?.clone()),
                "--check" => options.check = true,
                "--quick" => options.quick = true,
                path => options.facts.push(path.into()),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let facts = read(&options.facts)?;
    let (table, missed) = markdown(&facts, &options);
    print!("{table}");
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&as_json(&facts))? + "\n")?;
    }
    if let Some(folder) = &options.docs {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("README.md"), table)?;
        let costs = PEERS.iter().filter_map(|peer| Some((peer, number(facts.get(peer.id)?, "median_ns")?))).collect();
        std::fs::write(folder.join("look-ups.svg"), chart::look_ups(costs, &machine()))?;
    }
    let ids = ROWS.iter().map(|row| row.id).chain(PEERS.iter().map(|peer| peer.id));
    // The size of its own is the full run's only.
    let absent: Vec<_> = ids.filter(|id| !facts.contains_key(*id) && *id != "miss_10m").collect();
    if !absent.is_empty() {
        return Err(format!("not measured: {}", absent.join(", ")).into());
    }
    if options.check && !missed.is_empty() {
        return Err(format!("targets missed: {}", missed.join(", ")).into());
    }
    Ok(())
}

fn read(paths: &[PathBuf]) -> Result<Facts> {
    let mut facts = Facts::new();
    for path in paths {
        for line in std::fs::read_to_string(path)?.lines() {
            let Value::Object(fact) = serde_json::from_str(line)? else { return Err("a fact is an object".into()) };
            let id = fact.get("id").and_then(Value::as_str).ok_or("a fact has an id")?.to_owned();
            facts.entry(id).or_default().extend(fact);
        }
    }
    Ok(facts)
}

fn number(fact: &Map<String, Value>, name: &str) -> Option<f64> {
    fact.get(name).and_then(Value::as_f64)
}

impl Check {
    fn holds(&self, fact: &Map<String, Value>) -> bool {
        match (number(fact, self.number), self.bound) {
            (Some(found), Bound::AtMost(most)) => found <= most,
            (Some(found), Bound::AtLeast(least)) => found >= least,
            (None, _) => false,
        }
    }

    fn limit(&self) -> f64 {
        match self.bound {
            Bound::AtMost(limit) | Bound::AtLeast(limit) => limit,
        }
    }

    fn quantity(&self, value: f64) -> String {
        match self.unit {
            "ns" => nanoseconds(value),
            "×" => format!("{value:.2} ×"),
            "/s" => format!("{}/s", thousands(value)),
            "" => thousands(value),
            "MiB" | "ms" | "µs" => format!("{value:.1} {}", self.unit),
            _ if value < 1_000.0 => format!("{value:.1} {}", self.unit),
            _ => format!("{} {}", thousands(value), self.unit),
        }
    }

    fn target(&self) -> String {
        if self.unit.is_empty() && self.limit() == 0.0 {
            return format!("no {}", self.label);
        }
        let sign = if matches!(self.bound, Bound::AtMost(_)) { "≤" } else { "≥" };
        format!("{} {sign} {}", self.label, self.quantity(self.limit())).trim().to_owned()
    }

    fn found(&self, fact: &Map<String, Value>) -> String {
        let Some(found) = number(fact, self.number) else { return "not measured".into() };
        let text = format!("{} {}", self.label, self.quantity(found)).trim().to_owned();
        if self.holds(fact) { text } else { format!("**{text}**") }
    }
}

/// An item of a list, in lines of at most 120 columns.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 120;
    let (mut lines, mut width) = (String::new(), 0);
    for word in text.split_whitespace() {
        let columns = word.chars().count();
        if width > 0 && width + 1 + columns > WIDTH {
            lines.push_str("\n  ");
            width = 2;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += columns;
    }
    lines
}

fn markdown(facts: &Facts, options: &Options) -> (String, Vec<&'static str>) {
    let (mut text, mut missed) = (String::new(), Vec::new());
    let mut line = |line: String| writeln!(text, "{line}").expect("a String takes all");
    line("# What vidcache costs\n".into());
    line("Made by `bin/bench`; all figures are of one run. A time is the median of the run's rounds. A ratio is the median of the".into());
    line("rounds' ratios, since in each round everything has its turn, and so meets the same machine.\n".into());
    if options.quick {
        line("**A quick run**: 1,000,000 users where a full one has 10,000,000, and fewer rounds.\n".into());
    }
    for note in [machine(), versions(facts)].iter().chain(&options.notes) {
        line(format!("- {note}"));
    }
    line("\n![What a look-up costs, beside its peers](look-ups.svg)\n".into());
    line("| | found | time | beside | target | |".into());
    line("| --- | --- | ---: | ---: | --- | --- |".into());
    for row in ROWS {
        let Some(fact) = facts.get(row.id) else { continue };
        if let Some(reason) = fact.get("skipped").and_then(Value::as_str) {
            line(format!("| {} | left out: {reason} | | | | |", what(row, fact)));
            continue;
        }
        let held = row.checks.iter().all(|check| check.holds(fact));
        if !held {
            missed.push(row.id);
        }
        let join = |parts: Vec<String>| parts.join(", ");
        let found = if row.checks.is_empty() {
            let ratio = || number(fact, "ratio").map(|ratio| format!("{ratio:.2} ×"));
            number(fact, "rate").map(|rate| format!("rate {rate:.2} ×")).or_else(ratio).unwrap_or_default()
        } else {
            join(row.checks.iter().map(|check| check.found(fact)).collect())
        };
        let beside = match number(fact, "baseline") {
            Some(baseline) if !row.beside.is_empty() => format!("{}: {}", row.beside, nanoseconds(baseline)),
            _ => String::new(),
        };
        line(format!(
            "| {} | {found} | {} | {beside} | {} | {} |",
            what(row, fact),
            number(fact, "median_ns").map(nanoseconds).unwrap_or_default(),
            join(row.checks.iter().map(Check::target).collect()),
            match (row.checks.is_empty(), held) {
                (true, _) => "",
                (_, true) => "✓",
                (_, false) => "**missed**",
            },
        ));
    }
    line("\nThe miss is beside the SELECT of what it fetches, all that a decision depends on.".into());
    for id in ["miss_1m", "miss_10m"] {
        if let Some((bare, ours)) =
            facts.get(id).and_then(|fact| number(fact, "of_vid_ns").zip(number(fact, "median_ns")))
        {
            line(format!(
                "`{id}`: the SELECT of the vid alone took {} ({:.2} × that).",
                nanoseconds(bare),
                ours / bare
            ));
        }
    }
    let limits: Vec<_> = LIMITS.iter().filter(|(id, _)| missed.contains(id)).collect();
    if !limits.is_empty() {
        line("\nWhat keeps a row from its target:\n".into());
        for (id, limit) in limits {
            line(wrapped(&format!("- `{id}`: {limit}")));
        }
    }
    line("\n## Beside others\n".into());
    line("One look-up of the same 100,000 integer keys, each answer as current as the peer can make it.\n".into());
    line("| | from | a look-up | beside vidcache |".into());
    line("| --- | --- | ---: | ---: |".into());
    for peer in PEERS {
        let (from, ours) = (peer.from.name(), peer.from.ours());
        let Some(fact) = facts.get(peer.id) else { continue };
        let name = if peer.kind == Kind::Ours { format!("**{}**", peer.name) } else { peer.name.into() };
        if let Some(reason) = fact.get("skipped").and_then(Value::as_str) {
            line(format!("| {name} | {from} | left out: {reason} | |"));
            continue;
        }
        let times = number(fact, "median_ns").zip(facts.get(ours).and_then(|ours| number(ours, "median_ns")));
        if let Some((time, ours)) = times {
            let beside = time / ours;
            let beside = if beside < 10.0 { format!("{beside:.1}") } else { thousands(beside) };
            line(format!("| {name} | {from} | {} | {beside} × |", nanoseconds(time)));
        }
    }
    (text, missed)
}

fn what(row: &Row, fact: &Map<String, Value>) -> String {
    row.what.replace("{rows}", &number(fact, "rows").map(thousands).unwrap_or_default())
}

/// `target` and the number it bounds are in `unit`; `ok` is over all of `checks`.
fn as_json(facts: &Facts) -> Value {
    let mut list = Vec::new();
    let measured = |id: &str| facts.get(id).filter(|fact| !fact.contains_key("skipped"));
    for row in ROWS {
        let Some(fact) = measured(row.id) else { continue };
        let checks: Vec<_> = row
            .checks
            .iter()
            .map(|check| {
                json!({
                    "number": check.number, "value": number(fact, check.number), "target": check.limit(),
                    "bound": if matches!(check.bound, Bound::AtMost(_)) { "at most" } else { "at least" },
                    "unit": check.unit, "ok": check.holds(fact),
                })
            })
            .collect();
        let mut entry = entry(row.id, fact);
        entry.insert("what".into(), what(row, fact).into());
        entry.insert("target".into(), row.checks.first().map(Check::limit).into());
        entry.insert("unit".into(), row.checks.first().map(|check| check.unit).into());
        entry.insert("value".into(), row.checks.first().and_then(|check| number(fact, check.number)).into());
        entry.insert("ok".into(), row.checks.iter().all(|check| check.holds(fact)).into());
        entry.insert("checks".into(), checks.into());
        list.push(Value::Object(entry));
    }
    for peer in PEERS.iter().filter(|peer| peer.kind != Kind::Ours) {
        let Some(fact) = measured(peer.id) else { continue };
        let mut entry = entry(peer.id, fact);
        entry.insert("what".into(), peer.name.into());
        entry.insert("target".into(), Value::Null);
        entry.insert("ok".into(), true.into());
        list.push(Value::Object(entry));
    }
    Value::Array(list)
}

fn entry(id: &str, fact: &Map<String, Value>) -> Map<String, Value> {
    let mut entry = Map::from_iter([("id".into(), json!(id))]);
    for name in ["median_ns", "baseline", "ratio"] {
        entry.insert(name.into(), fact.get(name).cloned().unwrap_or(Value::Null));
    }
    entry
}

pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{}, {cores} cores, Linux {}",
        model.trim_start_matches([' ', '\t', ':']).trim(),
        read("/proc/sys/kernel/osrelease").trim()
    )
}

fn versions(facts: &Facts) -> String {
    let of = |name: &str| facts.get("versions").and_then(|fact| fact.get(name)).and_then(Value::as_str);
    let mut parts = vec![format!("SQLite {}", rusqlite::version())];
    parts.extend(of("ruby").map(str::to_owned));
    parts.extend(of("rails").map(|version| format!("Rails {version}")));
    parts.extend(of("python").map(|version| format!("Python {version}")));
    parts.extend(of("kotlin").zip(of("java")).map(|(kotlin, java)| format!("Kotlin {kotlin} on Java {java}")));
    parts.join(", ")
}
