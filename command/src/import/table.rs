//! Rows of a text: CSV with a line of names, or a JSON object a line.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use serde_json::Value;

use super::source::{Gauge, Source};
use crate::failure::{Failure, Result};
use crate::words::plain;

/// Names that a column may have where none is given, as `folded` makes them. HubSpot's export has `Record ID`, its API
/// `hs_object_id`.
const USER: &[&str] = &["user", "userid", "userkey"];
const VID: &[&str] = &["vid", "recordid", "contactid", "hsobjectid", "hubspotid"];
const EMAIL: &[&str] = &["email"];
const EMAIL_AT: &[&str] = &["emailat"];

/// The columns that were named.
#[derive(clap::Args)]
pub(crate) struct Named {
    /// The column with the app's own id of the user; without it user, user_id or user_key.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) user: Option<String>,
    /// The column with the contact's id; without it vid, Record ID, Contact ID, hs_object_id or hubspot_id.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) vid: Option<String>,
    /// The column with the email that HubSpot held; without it email.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) email: Option<String>,
    /// The column with since when it did: RFC 3339 with a time zone, or milliseconds; without it email_at. Where there
    /// is none emails are left out.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) email_at: Option<String>,
}

/// One row's fields, as they came. An empty one is `None`.
#[derive(Default)]
pub(super) struct Fields<'t> {
    pub(super) user: Option<&'t [u8]>,
    pub(super) vid: Option<&'t [u8]>,
    pub(super) email: Option<&'t [u8]>,
    pub(super) email_at: Option<&'t [u8]>,
}

pub(super) enum Table {
    Csv { reader: csv::Reader<Box<dyn Read + Send>>, record: csv::ByteRecord, columns: [Option<usize>; 4] },
    Lines { reader: BufReader<Box<dyn Read + Send>>, line: Vec<u8>, names: [Vec<String>; 4], fields: [Vec<u8>; 4] },
}

/// What may be read of a row.
pub(super) enum Read1 {
    Row,
    /// It is no row, for this reason.
    Not(&'static str),
    End,
}

pub(super) struct Rows {
    table: Table,
    gauge: Arc<Gauge>,
    /// The row that was read last: 1 is the first after the line of names, or the first object.
    pub(super) number: u64,
    /// The line of names, where there is one.
    pub(super) header: Option<csv::ByteRecord>,
    /// Whether emails are there, and their times are not.
    pub(super) leaves_emails_out: bool,
}

impl Rows {
    pub(super) fn new(source: Source, named: &Named) -> Result<Self> {
        let Source { text, gauge, .. } = source;
        let mut text = BufReader::with_capacity(1 << 16, text);
        let first = text.fill_buf().map_err(unreadable)?;
        let json = first.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        let delimiter = delimiter(first);
        let given = [&named.user, &named.vid, &named.email, &named.email_at];
        if json {
            let names = [0, 1, 2, 3].map(|at| match given[at] {
                Some(name) => vec![name.clone()],
                None => [USER, VID, EMAIL, EMAIL_AT][at].iter().map(|name| (*name).to_owned()).collect(),
            });
            let reader = BufReader::with_capacity(1 << 16, Box::new(text) as Box<dyn Read + Send>);
            let table = Table::Lines { reader, line: Vec::new(), names, fields: Default::default() };
            return Ok(Self { table, gauge, number: 0, header: None, leaves_emails_out: false });
        }
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .buffer_capacity(1 << 16)
            .from_reader(Box::new(text) as Box<dyn Read + Send>);
        let mut header = csv::ByteRecord::new();
        reader.read_byte_record(&mut header).map_err(no_csv)?;
        gauge.row_ended();
        let columns = [
            Some(column(&header, given[0].as_deref(), USER, "user")?),
            Some(column(&header, given[1].as_deref(), VID, "vid")?),
            optional(&header, given[2].as_deref(), EMAIL, "email")?,
            optional(&header, given[3].as_deref(), EMAIL_AT, "email-at")?,
        ];
        let leaves_emails_out = columns[2].is_some() && columns[3].is_none();
        let table = Table::Csv { reader, record: csv::ByteRecord::new(), columns };
        Ok(Self { table, gauge, number: 0, header: Some(header), leaves_emails_out })
    }

    /// Reads the next row. `fields` has it then.
    pub(super) fn next(&mut self) -> Result<Read1> {
        let read = match &mut self.table {
            Table::Csv { reader, record, columns } => {
                if !reader.read_byte_record(record).map_err(no_csv)? {
                    return Ok(Read1::End);
                }
                match columns[0].max(columns[1]).is_some_and(|last| last >= record.len()) {
                    true => Read1::Not("it has fewer fields than the line of names"),
                    false => Read1::Row,
                }
            }
            Table::Lines { reader, line, names, fields } => {
                line.clear();
                if reader.read_until(b'\n', line).map_err(unreadable)? == 0 {
                    return Ok(Read1::End);
                }
                match line.iter().all(u8::is_ascii_whitespace) {
                    true => {
                        fields.iter_mut().for_each(Vec::clear);
                        Read1::Row
                    }
                    false => object(line, names, fields),
                }
            }
        };
        self.gauge.row_ended();
        self.number += 1;
        Ok(read)
    }

    pub(super) fn fields(&self) -> Fields<'_> {
        let [user, vid, email, email_at] = [0, 1, 2, 3].map(|at| {
            let bytes = match &self.table {
                // People write blanks after a comma.
                Table::Csv { record, columns, .. } => columns[at].and_then(|at| record.get(at))?.trim_ascii(),
                Table::Lines { fields, .. } => fields[at].as_slice(),
            };
            Some(bytes).filter(|bytes| !bytes.is_empty())
        });
        Fields { user, vid, email, email_at }
    }

    /// The row as it came, for whoever is to mend it.
    pub(super) fn record(&self) -> csv::ByteRecord {
        match &self.table {
            Table::Csv { record, .. } => record.clone(),
            Table::Lines { line, .. } => csv::ByteRecord::from(vec![line.trim_ascii_end()]),
        }
    }
}

/// The one that the first line has most of; Excel writes semicolons in half of Europe.
fn delimiter(text: &[u8]) -> u8 {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| line.iter().filter(|byte| **byte == delimiter).count();
    // Of equals the last one.
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// A name without what spellings differ in: `Record ID`, `record_id`, `recordId`.
fn folded(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn optional(header: &csv::ByteRecord, given: Option<&str>, usual: &[&str], what: &str) -> Result<Option<usize>> {
    match given {
        Some(_) => column(header, given, usual, what).map(Some),
        None => Ok(column(header, None, usual, what).ok()),
    }
}

fn column(header: &csv::ByteRecord, given: Option<&str>, usual: &[&str], what: &str) -> Result<usize> {
    let found = |wanted: &dyn Fn(&[u8]) -> bool| header.iter().position(wanted);
    let at = match given {
        Some(name) => found(&|column| column == name.as_bytes()),
        None => usual.iter().find_map(|name| found(&|column| folded(column) == *name)),
    };
    at.ok_or_else(|| {
        let there: Vec<_> = header.iter().take(50).map(|name| short(&String::from_utf8_lossy(name))).collect();
        let wanted = given.map_or_else(
            || format!("no column is called {}", usual[0]),
            |name| format!("no column is called {}", plain(name)),
        );
        Failure::Input(format!("{wanted}: say which it is with --{what} COLUMN. The columns are: {}", there.join(", ")))
    })
}

fn short(name: &str) -> String {
    let mut said: String = plain(name).chars().take(40).collect();
    if name.chars().count() > 40 {
        said.push('…');
    }
    said
}

/// A line's object, its fields as text.
fn object(line: &[u8], names: &[Vec<String>; 4], fields: &mut [Vec<u8>; 4]) -> Read1 {
    fields.iter_mut().for_each(Vec::clear);
    let Ok(Value::Object(object)) = serde_json::from_slice(line) else { return Read1::Not("it is no JSON object") };
    for (name, value) in &object {
        let Some(at) = names.iter().position(|names| names.contains(name) || names.contains(&folded(name.as_bytes())))
        else {
            continue;
        };
        match value {
            Value::Null => {}
            Value::String(text) => fields[at].extend_from_slice(text.as_bytes()),
            Value::Number(number) => fields[at].extend_from_slice(number.to_string().as_bytes()),
            _ => return Read1::Not("a field is neither text nor a number"),
        }
    }
    Read1::Row
}

fn no_csv(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(e) => unreadable(e),
        kind => Failure::Input(format!("the rows cannot be read: {kind:?}")),
    }
}

fn unreadable(error: std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Failure::Input("the compressed file ends in the middle: it was cut off".into())
        }
        _ => Failure::Input(format!("the rows cannot be read: {error}")),
    }
}
