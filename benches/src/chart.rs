//! The chart of what a look-up costs: SVG on a card of its own, so that it reads in light and dark.

use std::fmt::Write as _;

use crate::measure::nanoseconds;
use crate::table::{From, Kind, Peer};

const WIDTH: f64 = 880.0;
/// Where the bars begin and end.
const LEFT: f64 = 268.0;
const RIGHT: f64 = 784.0;
const BAR: f64 = 15.0;
const STEP: f64 = 25.0;

/// Decades of nanoseconds that the scale spans.
const FIRST: f64 = 0.0;
const LAST: f64 = 6.0;

/// The card's colours change with the reader's; text and card go together, so it reads wherever neither is known.
const STYLE: &str = "
  .card { fill: #ffffff; stroke: #d8dee6 }
  .title { fill: #16202c; font-size: 17px; font-weight: 650 }
  .group { fill: #16202c; font-size: 12.5px; font-weight: 650 }
  .name, .value { fill: #3b4856; font-size: 12.5px }
  .ours { fill: #b8470f; font-weight: 650 }
  .small { fill: #6b7886; font-size: 11px }
  .line { stroke: #e7ebf0 }
  .bar { fill: #aab6c3 } .bare { fill: #d5dce4 } .bar-ours { fill: #f0672a }
  text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif }
  .value { font-variant-numeric: tabular-nums }
  @media (prefers-color-scheme: dark) {
    .card { fill: #12171e; stroke: #2b343f }
    .title, .group { fill: #eef2f6 }
    .name, .value { fill: #c0cad5 }
    .ours { fill: #ff9a66 }
    .small { fill: #8b98a6 }
    .line { stroke: #232b35 }
    .bar { fill: #566473 } .bare { fill: #36414d } .bar-ours { fill: #f0672a }
  }
";

pub(crate) fn look_ups(mut costs: Vec<(&Peer, f64)>, machine: &str) -> String {
    costs.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut bars, mut y) = (String::new(), 84.0);
    let top = y;
    for from in From::ALL {
        if !costs.iter().any(|(peer, _)| peer.from == *from) {
            continue;
        }
        put(&mut bars, format!(r#"<text class="group" x="28" y="{:.1}">From {}</text>"#, y + BAR - 3.0, from.name()));
        y += STEP;
        for (peer, cost) in costs.iter().filter(|(peer, _)| peer.from == *from) {
            bar(&mut bars, peer, *cost, y);
            y += STEP;
        }
        y += 8.0;
    }
    let bottom = y - 8.0;
    let height = bottom + 62.0;
    let mut svg = String::new();
    put(
        &mut svg,
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-labelledby="title">"#
        ),
    );
    put(&mut svg, "<title id=\"title\">What a look-up costs: vidcache beside its peers</title>".into());
    put(&mut svg, format!("<style>{STYLE}</style>"));
    put(
        &mut svg,
        format!(r#"<rect class="card" x="0.5" y="0.5" width="{}" height="{}" rx="10"/>"#, WIDTH - 1.0, height - 1.0),
    );
    put(&mut svg, r#"<text class="title" x="28" y="38">What one look-up costs</text>"#.into());
    put(
        &mut svg,
        r#"<text class="small" x="28" y="57">the same 100,000 users; every vidcache answer is current to the last commit of any process</text>"#
            .into(),
    );
    for decade in FIRST as i32..=LAST as i32 {
        let at = x(10f64.powi(decade));
        put(
            &mut svg,
            format!(
                r#"<line class="line" x1="{at:.1}" y1="{:.1}" x2="{at:.1}" y2="{bottom:.1}"/><text class="small" x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                top - 6.0,
                bottom + 17.0,
                scale(decade),
            ),
        );
    }
    svg.push_str(&bars);
    put(
        &mut svg,
        format!(
            r#"<text class="small" x="28" y="{:.1}">Each step to the right is ten times slower. Medians of one run of bin/bench; {}.</text>"#,
            height - 18.0,
            escape(machine)
        ),
    );
    put(&mut svg, "</svg>".into());
    svg
}

fn bar(svg: &mut String, peer: &Peer, cost: f64, y: f64) {
    let (text, fill) = match peer.kind {
        Kind::Ours => (" ours", "bar-ours"),
        Kind::Bare => ("", "bare"),
        Kind::Peer => ("", "bar"),
    };
    let (end, line) = (x(cost), y + BAR - 3.0);
    put(
        svg,
        format!(
            r#"<text class="name{text}" x="{:.1}" y="{line:.1}" text-anchor="end">{}</text><rect class="{fill}" x="{LEFT}" y="{y:.1}" width="{:.1}" height="{BAR}" rx="3"/><text class="value{text}" x="{:.1}" y="{line:.1}">{}</text>"#,
            LEFT - 10.0,
            escape(peer.name),
            (end - LEFT).max(2.0),
            end + 8.0,
            nanoseconds(cost),
        ),
    );
}

fn scale(decade: i32) -> String {
    let unit = ["ns", "µs", "ms"][decade as usize / 3];
    format!("{} {unit}", 10i32.pow(decade as u32 % 3))
}

/// Where a cost is on the scale.
fn x(nanoseconds: f64) -> f64 {
    LEFT + (nanoseconds.log10() - FIRST).clamp(0.0, LAST - FIRST) / (LAST - FIRST) * (RIGHT - LEFT)
}

fn put(svg: &mut String, line: String) {
    writeln!(svg, "{line}").expect("a String takes all");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
