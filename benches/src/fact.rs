//! What was measured: one line of JSON each, from every language, for `report` to judge.

use serde_json::{Map, Value, json};

use crate::measure::{Rounds, median, ratio};

pub(crate) struct Fact(Map<String, Value>);

impl Fact {
    pub(crate) fn new(id: &str) -> Self {
        Self(Map::from_iter([("id".into(), json!(id))]))
    }

    /// A time beside the one of its baseline.
    pub(crate) fn beside(id: &str, times: &Rounds, baseline: &Rounds) -> Self {
        Self::new(id)
            .with("median_ns", median(times))
            .with("baseline", median(baseline))
            .with("ratio", ratio(times, baseline))
    }

    /// Any other number or text, under a name that `table` knows.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    pub(crate) fn line(self) -> String {
        Value::Object(self.0).to_string()
    }
}
