//! What it costs to read what HubSpot says, beside reading the same bytes into serde_json's `Value`.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use vidcache::parsers;

use crate::fact::Fact;
use crate::measure::{interleave, median, per_call};
use crate::{Result, Run};

const PORTAL: i64 = 33;

/// A turn of one variant.
const TURN: Duration = Duration::from_millis(20);

pub(crate) fn run(run: &Run) -> Result<()> {
    let batch = batch();
    let read = parsers::webhook(batch.as_bytes(), PORTAL)?;
    assert_eq!((read.notices, read.ignored), (50, 50), "a wrong batch");
    let [ours, value] = interleave(
        run.rounds(21),
        [
            &mut || per_call(TURN, || drop(black_box(parsers::webhook(black_box(batch.as_bytes()), PORTAL)))),
            &mut || per_call(TURN, || drop(black_box(serde_json::from_str::<serde_json::Value>(black_box(&batch))))),
        ],
    );
    // Bytes to a nanosecond are gigabytes to a second.
    let rate = batch.len() as f64 / median(&ours) * 1000.0;
    run.fact(Fact::beside("parse_webhook", &ours, &value).with("mb_per_s", rate));

    assert_eq!(parsers::answer(CONTACT.as_bytes())?.contacts, 1, "a wrong answer");
    let [ours, value] = interleave(
        run.rounds(21),
        [&mut || per_call(TURN, || drop(black_box(parsers::answer(black_box(CONTACT.as_bytes()))))), &mut || {
            per_call(TURN, || drop(black_box(serde_json::from_str::<serde_json::Value>(black_box(CONTACT)))))
        }],
    );
    run.fact(Fact::beside("parse_v3", &ours, &value));
    Ok(())
}

/// A hundred events as HubSpot sends them: of four, two that say nothing here.
fn batch() -> String {
    let mut json = String::from("[");
    for n in 0..100 {
        if n > 0 {
            json.push(',');
        }
        let of_all = format!(
            r#"{{"eventId":{},"subscriptionId":{},"portalId":{PORTAL},"appId":1160452,"occurredAt":{},"attemptNumber":0,"#,
            3_816_279_340i64 + n,
            25 + n % 4,
            1_736_900_000_000i64 + n,
        );
        let id = 37_765_128_953i64 + n;
        let rest = match n % 4 {
            0 => format!(
                r#""subscriptionType":"contact.creation","objectId":{id},"changeSource":"IMPORT","changeFlag":"NEW"}}"#
            ),
            1 => format!(
                r#""subscriptionType":"contact.propertyChange","objectId":{id},"propertyName":"email","propertyValue":"new{n}@shop.test","changeSource":"CRM_UI","sourceId":"userId:123"}}"#
            ),
            2 => format!(
                r#""subscriptionType":"contact.merge","objectId":{id},"primaryObjectId":{id},"mergedObjectIds":[{}],"newObjectId":{},"numberOfPropertiesMoved":14}}"#,
                id + 1000,
                id + 2000,
            ),
            _ => format!(
                r#""subscriptionType":"contact.propertyChange","objectId":{id},"propertyName":"lifecyclestage","propertyValue":"customer","changeSource":"CRM_UI","sourceId":"userId:123"}}"#
            ),
        };
        write!(json, "{of_all}{rest}").expect("a String takes it");
    }
    json.push(']');
    json
}

/// A contact as the v3 API gives it without being asked for more.
const CONTACT: &str = r#"{"id":"37765128953","properties":{"createdate":"2024-09-17T15:19:55.000Z","email":"ann@shop.test","firstname":"Ann","hs_object_id":"37765128953","lastmodifieddate":"2024-09-17T15:20:01.120Z","lastname":"Example"},"createdAt":"2024-09-17T15:19:55.000Z","updatedAt":"2024-09-17T15:20:01.120Z","archived":false,"url":"https://app.example.test/contacts/33/record/0-1/37765128953"}"#;
