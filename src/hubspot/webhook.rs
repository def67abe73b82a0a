//! A webhook's batch of events, as notices about contacts.
//!
//! HubSpot promises neither order nor that an event comes once, so every notice carries HubSpot's time and can be
//! applied again. What is not about a contact of this portal, or not about its email, is counted and accepted, whatever
//! it looks like: HubSpot would send a refused batch for a day. An event that matters and cannot be read refuses its
//! whole batch, but for the erasures in it: those are a person's right, and the batch will never be another.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::json::{self, Field, List, Object, Read, Wrong};
use crate::email::Email;
use crate::error::{Error, Result};
use crate::event::Millis;
use crate::identity::Vid;
use crate::limits::{MAX_EVENTS, MAX_MERGED};

/// Something that happened to a contact, by HubSpot's clock.
// An email is 255 bytes where it is, and a batch has a hundred: boxing them all would cost more.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Notice {
    /// The contact holds that email now, or none that a page could name.
    EmailChanged {
        vid: Vid,
        email: Option<Email>,
        at: Millis,
    },
    /// A merge: the ids in `from`, at least one and none of them `into`, stand for the contact `into`, which the merge
    /// made (`born`) or which was one of those merged.
    Merged {
        from: Vec<Vid>,
        into: Vid,
        at: Millis,
        born: bool,
    },
    /// Put in the archive. A merge says this of the ids that were merged away too, before or after itself.
    Deleted {
        vid: Vid,
        at: Millis,
    },
    Restored {
        vid: Vid,
        at: Millis,
    },
    /// Deleted for privacy: for good, so it does not matter when.
    Erased {
        vid: Vid,
    },
}

/// What a webhook's body holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Batch {
    pub(crate) notices: Vec<Notice>,
    /// Events that say nothing here: of other types, objects, properties or portals.
    pub(crate) ignored: usize,
    /// [`Error::InvalidWebhook`]: the first event that matters and cannot be read. Then the notices are erasures alone.
    pub(crate) refused: Option<Error>,
}

/// Reads a webhook's body: all of it, or its erasures.
///
/// An event of another portal is ignored: an app that several portals have installed gets all their events at one
/// address.
///
/// # Errors
/// [`Error::InvalidWebhook`]: it is no list of events at all.
pub(crate) fn notices(body: &[u8], portal: Vid) -> Result<Batch> {
    let invalid = |event, why| Error::InvalidWebhook { event, field: "body", why };
    let text = json::text(body).map_err(|why| invalid(None, why))?;
    if !text.trim_ascii_start().starts_with('[') {
        return Err(invalid(None, "it is not a list of events"));
    }
    let mut reader = Reader { portal, batch: Batch::default(), read: 0 };
    let mut json = serde_json::Deserializer::from_str(text);
    if json.deserialize_seq(&mut reader).and_then(|()| json.end()).is_err() {
        // An event has what no event should: text or a number that cannot be, a field twice. One by one, then.
        let events: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| invalid(None, json::syntax(&e)))?;
        reader = Reader { portal, batch: Batch::default(), read: 0 };
        events.into_iter().for_each(|event| reader.take(odd_event(event.get(), portal)));
    }
    let mut batch = reader.batch;
    if batch.refused.is_some() {
        batch.notices.retain(|notice| matches!(notice, Notice::Erased { .. }));
    }
    Ok(batch)
}

/// When the newest event of a body was, by HubSpot's clock. `None` where none of them says so, and for what is no body.
pub(crate) fn newest(body: &[u8]) -> Option<Millis> {
    #[derive(Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct When<'a> {
        #[serde(borrow)]
        occurred_at: Field<'a>,
    }
    let events: Vec<When<'_>> = serde_json::from_str(json::text(body).ok()?).ok()?;
    events.iter().filter_map(|event| event.occurred_at.time("occurredAt").ok()?).max()
}

/// Turns each event into its notice as it is read, so that a batch takes no more memory than its notices.
struct Reader {
    portal: Vid,
    batch: Batch,
    /// How many events were read.
    read: usize,
}

impl Reader {
    fn take(&mut self, notice: Read<Option<Notice>>) {
        let notice = match notice {
            _ if self.read >= MAX_EVENTS => Err(Wrong { field: "body", why: "it has too many events" }),
            notice => notice,
        };
        match notice {
            Ok(Some(notice)) => self.batch.notices.push(notice),
            Ok(None) => self.batch.ignored += 1,
            Err(Wrong { field, why }) => {
                let event = Some(self.read);
                self.batch.refused.get_or_insert(Error::InvalidWebhook { event, field, why });
            }
        }
        self.read += 1;
    }
}

impl<'de> Visitor<'de> for &mut Reader {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        while let Some(event) = seq.next_element::<Object<Event<'de>>>()? {
            self.take(read(&event, self.portal));
        }
        Ok(())
    }
}

fn read(event: &Object<Event<'_>>, portal: Vid) -> Read<Option<Notice>> {
    event.get("body")?.ok_or(Wrong { field: "body", why: "it is null" })?.notice(portal)
}

/// One event of a body in which one is odd. Where it is this one, it can still be of a type that is ignored, or an
/// erasure that says whose.
fn odd_event(text: &str, portal: Vid) -> Read<Option<Notice>> {
    let error = match serde_json::from_str::<Object<Event<'_>>>(text) {
        Ok(event) => return read(&event, portal),
        Err(error) => Wrong { field: "body", why: json::syntax(&error) },
    };
    // Of a field that is there twice the last one counts, as for most readers of JSON.
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).map_err(|_| error)?;
    let field = |name| match fields.get(name) {
        Some(value) => serde_json::from_str(value.get()).unwrap_or(Field::Nested),
        None => Field::Absent,
    };
    let event = Event {
        subscription_type: field("subscriptionType"),
        event_type: field("eventType"),
        portal_id: field("portalId"),
        object_id: field("objectId"),
        object_type_id: field("objectTypeId"),
        property_name: field("propertyName"),
        ..Event::default()
    };
    match event.notice(portal) {
        Ok(Some(Notice::Erased { vid })) => Ok(Some(Notice::Erased { vid })),
        Ok(None) => Ok(None),
        _ => Err(error),
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    subscription_type: Field<'a>,
    /// What the documents call `subscriptionType`.
    #[serde(borrow)]
    event_type: Field<'a>,
    #[serde(borrow)]
    portal_id: Field<'a>,
    #[serde(borrow)]
    occurred_at: Field<'a>,
    #[serde(borrow)]
    object_id: Field<'a>,
    #[serde(borrow)]
    object_type_id: Field<'a>,
    #[serde(borrow)]
    property_name: Field<'a>,
    #[serde(borrow)]
    property_value: Field<'a>,
    #[serde(borrow)]
    primary_object_id: Field<'a>,
    #[serde(borrow)]
    merged_object_ids: List<Field<'a>, MAX_MERGED>,
    #[serde(borrow)]
    new_object_id: Field<'a>,
}

impl Event<'_> {
    /// What the event says of a contact, or `None` where it is not about a contact of this portal, or not of a kind
    /// that matters here. Of such an event only the type, the object and the property's name are read, and one that is
    /// not text is passed over, so that a field of another object can never refuse the batch.
    fn notice(&self, portal: Vid) -> Read<Option<Notice>> {
        let kind = words(&self.subscription_type).or(words(&self.event_type));
        let Some((object, kind)) = kind.and_then(|kind| kind.split_once('.')) else { return Ok(None) };
        let contact = object == "contact" || object == "object" && words(&self.object_type_id) == Some("0-1");
        let matters = match kind {
            "propertyChange" => words(&self.property_name) == Some("email"),
            // An email that a contact was made with comes as a change of its own.
            "merge" | "deletion" | "restore" | "privacyDeletion" => true,
            _ => false,
        };
        if !contact || !matters || vid(&self.portal_id, "portalId")? != portal {
            return Ok(None);
        }
        if kind == "privacyDeletion" {
            return Ok(Some(Notice::Erased { vid: vid(&self.object_id, "objectId")? }));
        }
        let at = self.occurred_at.time("occurredAt")?;
        let at = at.ok_or(Wrong { field: "occurredAt", why: "it is missing" })?;
        if kind == "merge" {
            return self.merge(at);
        }
        let vid = vid(&self.object_id, "objectId")?;
        Ok(Some(match kind {
            "deletion" => Notice::Deleted { vid, at },
            "restore" => Notice::Restored { vid, at },
            _ => {
                // A sensitive value comes as `REDACTED`: like all that cannot be an email, it is none that a page could
                // name.
                let email = self.property_value.text("propertyValue")?.and_then(|text| Email::parse(text).ok());
                Notice::EmailChanged { vid, email, at }
            }
        }))
    }

    /// The ids that were merged, the primary one among them, stand for a new one; before 2025 for the primary one. What
    /// `objectId` holds is documented nowhere: it counts only where nothing else says which contact lives, and unless
    /// it is one of those that do not.
    fn merge(&self, at: Millis) -> Read<Option<Notice>> {
        let primary = self.primary_object_id.vid("primaryObjectId")?;
        let mut from = Vec::new();
        for id in self.merged_object_ids.get("mergedObjectIds")?.unwrap_or_default() {
            from.push(vid(id, "mergedObjectIds")?);
        }
        let into = match self.new_object_id.vid("newObjectId")?.or(primary) {
            Some(into) => into,
            None => {
                let object = self.object_id.vid("objectId")?.filter(|id| !from.contains(id));
                object.ok_or(Wrong { field: "newObjectId", why: "it is missing" })?
            }
        };
        if from.is_empty() && primary.is_none_or(|primary| primary == into) {
            return Err(Wrong { field: "mergedObjectIds", why: "it is missing" });
        }
        let born = primary.is_some_and(|primary| primary != into) && !from.contains(&into);
        from.extend(primary);
        from.retain(|id| *id != into);
        from.sort_unstable();
        from.dedup();
        // Merged into itself: nothing changes.
        Ok((!from.is_empty()).then_some(Notice::Merged { from, into, at, born }))
    }
}

fn words<'a>(field: &'a Field<'_>) -> Option<&'a str> {
    match field {
        Field::Text(text) => Some(text),
        _ => None,
    }
}

fn vid(id: &Field<'_>, field: &'static str) -> Read<Vid> {
    id.vid(field)?.ok_or(Wrong { field, why: "it is missing" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTAL: i64 = 33;

    fn vid(id: i64) -> Vid {
        Vid::try_from(id).unwrap()
    }

    fn read(json: &str) -> Result<Batch> {
        notices(json.as_bytes(), vid(PORTAL))
    }

    /// One event of this portal, with these fields too.
    fn event(fields: &str) -> String {
        format!(r#"{{"eventId":1,"portalId":33,"occurredAt":1000,"attemptNumber":0,"unknown":[{{}}],{fields}}}"#)
    }

    fn one(fields: &str) -> Option<Notice> {
        let batch = read(&format!("[{}]", event(fields))).unwrap_or_else(|e| panic!("{fields}: {e}"));
        assert_eq!((batch.notices.len() + batch.ignored, batch.refused), (1, None));
        batch.notices.into_iter().next()
    }

    #[test]
    fn a_batch_as_hubspot_sends_it() {
        let json = r#"[
            {"eventId":3816279340,"subscriptionId":25,"portalId":33,"appId":1160452,"occurredAt":1462216307945,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":1246978,"changeSource":"IMPORT","changeFlag":"NEW"},
            {"eventId":1,"subscriptionId":26,"portalId":33,"appId":1160452,"occurredAt":1462216309000,"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":1246978,"propertyName":"email","propertyValue":"New@x.test","changeSource":"CRM_UI","sourceId":"userId:123"},
            {"eventId":2,"subscriptionId":27,"portalId":33,"appId":1160452,"occurredAt":1736900000000,"subscriptionType":"contact.merge","attemptNumber":0,"objectId":123,"primaryObjectId":123,"mergedObjectIds":[456],"newObjectId":999,"numberOfPropertiesMoved":14},
            {"eventId":3,"subscriptionId":28,"portalId":33,"appId":1160452,"occurredAt":1736900000500,"subscriptionType":"contact.deletion","attemptNumber":0,"objectId":456,"changeFlag":"DELETED"},
            {"eventId":4,"subscriptionId":29,"portalId":33,"appId":1160452,"occurredAt":1736900100000,"subscriptionType":"contact.privacyDeletion","attemptNumber":0,"objectId":789},
            {"eventId":5,"subscriptionId":30,"portalId":33,"appId":1160452,"occurredAt":1736900200000,"subscriptionType":"contact.restore","attemptNumber":0,"objectId":790}]"#;
        let email = Email::parse("new@x.test").ok();
        assert_eq!(
            read(json).unwrap().notices,
            [
                Notice::EmailChanged { vid: vid(1246978), email, at: 1462216309000 },
                Notice::Merged { from: vec![vid(123), vid(456)], into: vid(999), at: 1736900000000, born: true },
                Notice::Deleted { vid: vid(456), at: 1736900000500 },
                Notice::Erased { vid: vid(789) },
                Notice::Restored { vid: vid(790), at: 1736900200000 },
            ]
        );
        assert_eq!(read("[]").unwrap(), Batch::default());
    }

    #[test]
    fn the_generic_form_and_the_documents_name_of_the_type_are_the_same_events() {
        let deleted = Some(Notice::Deleted { vid: vid(5), at: 1000 });
        assert_eq!(one(r#""subscriptionType":"object.deletion","objectTypeId":"0-1","objectId":5"#), deleted);
        assert_eq!(one(r#""eventType":"contact.deletion","objectId":5"#), deleted);
        assert_eq!(one(r#""eventType":"contact.deletion","objectId":"5""#), deleted);
    }

    #[test]
    fn what_says_nothing_of_a_contact_here_is_counted_and_accepted() {
        for fields in [
            r#""subscriptionType":"object.deletion","objectTypeId":"0-2","objectId":5"#,
            r#""subscriptionType":"object.deletion","objectId":5"#,
            r#""subscriptionType":"company.deletion","objectId":5"#,
            r#""subscriptionType":"contact.associationChange","objectId":"ann@shop.test""#,
            r#""subscriptionType":"contact.propertyChange","propertyName":"phone","propertyValue":5,"objectId":{}"#,
            r#""subscriptionType":"conversation.newMessage""#,
            r#""subscriptionType":"contact""#,
            r#""objectId":5"#,
        ] {
            assert_eq!(one(fields), None, "{fields}");
        }
        let batch =
            read(r#"[{"portalId":34,"occurredAt":1,"subscriptionType":"contact.deletion","objectId":5}]"#).unwrap();
        assert_eq!((batch.notices.len(), batch.ignored), (0, 1), "another portal's contact");
    }

    #[test]
    fn an_event_that_is_ignored_never_refuses_its_batch() {
        let good = event(r#""subscriptionType":"contact.deletion","objectId":5"#);
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let phone =
            r#""subscriptionType":"contact.propertyChange","propertyName":"phone","objectId":5,"propertyValue""#;
        for odd in [
            event(r#""subscriptionType":5"#),
            event(r#""subscriptionType":[],"eventType":{}"#),
            event(r#""subscriptionType":"object.deletion","objectTypeId":1"#),
            event(r#""subscriptionType":"contact.creation""#),
            event(r#""subscriptionType":"contact.creation","objectId":"ann@shop.test""#),
            event(r#""subscriptionType":"contact.propertyChange","propertyName":{},"objectId":5"#),
            r#"{"subscriptionType":"company.creation","portalId":"x","occurredAt":-1}"#.into(),
            r#"{"subscriptionType":"contact.creation"}"#.into(),
            // Half of a character, as what cuts text in two leaves it; a number that is none; nesting; a field twice.
            event(&format!(r#"{phone}:"\ud83d""#)),
            event(&format!("{phone}:1e999999")),
            event(&format!("{phone}:{deep}")),
            event(&format!(r#"{phone}:1,"objectId":6"#)),
            r#"{"objectId":1,"objectId":2}"#.into(),
        ] {
            let batch = read(&format!("[{good},{odd},{good}]")).unwrap();
            assert_eq!((batch.notices.len(), batch.ignored, batch.refused), (2, 1, None), "{odd}");
        }
    }

    #[test]
    fn an_erasure_is_not_lost_to_its_neighbours() {
        let erasure = event(r#""subscriptionType":"contact.privacyDeletion","objectId":7"#);
        let email =
            r#""subscriptionType":"contact.propertyChange","propertyName":"email","objectId":5,"propertyValue""#;
        for bad in [
            event(r#""subscriptionType":"contact.deletion""#),
            event(r#""subscriptionType":"contact.privacyDeletion","objectId":{}"#),
            event(&format!("{email}:5")),
            event(&format!(r#"{email}:"\ud83d""#)),
            event(&format!(r#"{email}:"a@x.test","objectId":6"#)),
            "null".into(),
            "5".into(),
            r#""\ud83d""#.into(),
            "1e999999".into(),
        ] {
            let deletion = event(r#""subscriptionType":"contact.deletion","objectId":6"#);
            let batch = read(&format!("[{deletion},{bad},{erasure}]")).unwrap();
            assert_eq!(batch.notices, [Notice::Erased { vid: vid(7) }], "{bad}");
            assert!(matches!(batch.refused, Some(Error::InvalidWebhook { event: Some(1), .. })), "{bad}");
        }
        // Nor to what does not matter in itself.
        for odd in [r#""sourceId":"\ud83d","propertyValue":"\ud83d""#, r#""occurredAt":2"#, r#""propertyValue":1e999"#]
        {
            let odd = format!(r#""subscriptionType":"contact.privacyDeletion","objectId":7,{odd}"#);
            assert_eq!(one(&odd), Some(Notice::Erased { vid: vid(7) }), "{odd}");
        }
        let undated = r#"[{"portalId":33,"subscriptionType":"contact.privacyDeletion","objectId":7}]"#;
        assert_eq!(read(undated).unwrap().notices, [Notice::Erased { vid: vid(7) }]);
    }

    #[test]
    fn the_newest_event_dates_a_body() {
        assert_eq!(
            newest(br#"[{"occurredAt":5},{"occurredAt":"7"},{"occurredAt":-1},{}, {"occurredAt":[]}]"#),
            Some(7)
        );
        for body in ["[]", "[{}]", "{}", "", "[5]", "[{\"occurredAt\":5}] x"] {
            assert_eq!(newest(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_an_email_is_none() {
        for value in [r#""""#, r#""REDACTED""#, "null", r#""not an email""#] {
            let fields = format!(
                r#""subscriptionType":"contact.propertyChange","propertyName":"email","objectId":5,"propertyValue":{value}"#
            );
            assert_eq!(one(&fields), Some(Notice::EmailChanged { vid: vid(5), email: None, at: 1000 }), "{value}");
        }
    }

    #[test]
    fn a_merge_is_never_into_itself() {
        let merged = |fields: &str| {
            one(&format!(r#""subscriptionType":"contact.merge",{fields}"#)).map(|notice| match notice {
                Notice::Merged { from, into, .. } => (from.iter().map(|vid| vid.get()).collect::<Vec<_>>(), into.get()),
                other => panic!("{other:?}"),
            })
        };
        let third = r#""objectId":7,"primaryObjectId":1,"mergedObjectIds":[2,2],"newObjectId":9"#;
        assert_eq!(merged(third), Some((vec![1, 2], 9)));
        assert_eq!(merged(r#""primaryObjectId":1,"mergedObjectIds":[1,2]"#), Some((vec![2], 1)), "before 2025");
        assert_eq!(merged(r#""objectId":7,"mergedObjectIds":[2]"#), Some((vec![2], 7)));
        assert_eq!(merged(r#""primaryObjectId":1,"newObjectId":9"#), Some((vec![1], 9)));
        assert_eq!(merged(r#""primaryObjectId":1,"mergedObjectIds":[1],"newObjectId":1"#), None);
    }

    #[test]
    fn an_event_that_matters_and_cannot_be_read_refuses_the_batch_and_is_named() {
        let good = event(r#""subscriptionType":"contact.deletion","objectId":5"#);
        let refused =
            |bad: &str| match read(&format!("[{good},{bad},{good}]")).map(|batch| (batch.refused, batch.notices)) {
                Ok((Some(Error::InvalidWebhook { event: Some(1), field, .. }), notices)) if notices.is_empty() => field,
                other => panic!("{bad}: {other:?}"),
            };
        for (fields, field) in [
            (r#""subscriptionType":"contact.deletion""#, "objectId"),
            (r#""subscriptionType":"contact.deletion","objectId":null"#, "objectId"),
            (r#""subscriptionType":"contact.deletion","objectId":0"#, "objectId"),
            (r#""subscriptionType":"contact.deletion","objectId":9223372036854775808"#, "objectId"),
            (r#""subscriptionType":"contact.deletion","objectId":1.5"#, "objectId"),
            (r#""subscriptionType":"contact.deletion","objectId":"ann@shop.test""#, "objectId"),
            (r#""subscriptionType":"contact.privacyDeletion""#, "objectId"),
            (r#""subscriptionType":"contact.deletion","objectId":5,"objectId":5"#, "body"),
            (
                r#""subscriptionType":"contact.propertyChange","propertyName":"email","propertyValue":1,"objectId":5"#,
                "propertyValue",
            ),
            (r#""subscriptionType":"contact.merge""#, "newObjectId"),
            (r#""subscriptionType":"contact.merge","newObjectId":9"#, "mergedObjectIds"),
            (r#""subscriptionType":"contact.merge","newObjectId":9,"mergedObjectIds":5"#, "mergedObjectIds"),
            (r#""subscriptionType":"contact.merge","newObjectId":9,"mergedObjectIds":[null]"#, "mergedObjectIds"),
            (r#""subscriptionType":"contact.merge","objectId":5,"mergedObjectIds":[5]"#, "newObjectId"),
            (r#""subscriptionType":"contact.merge","primaryObjectId":true"#, "primaryObjectId"),
        ] {
            assert_eq!(refused(&event(fields)), field, "{fields}");
        }
        let deletion = r#""subscriptionType":"contact.deletion","objectId":5"#;
        for (bad, field) in [
            (format!(r#"{{"portalId":33,{deletion}}}"#), "occurredAt"),
            (format!(r#"{{"portalId":33,"occurredAt":-1,{deletion}}}"#), "occurredAt"),
            (format!(r#"{{"portalId":33,"occurredAt":253402300800000,{deletion}}}"#), "occurredAt"),
            (format!(r#"{{"occurredAt":1,{deletion}}}"#), "portalId"),
            (format!(r#"{{"portalId":"x","occurredAt":1,{deletion}}}"#), "portalId"),
            ("5".into(), "body"),
            ("null".into(), "body"),
            ("[]".into(), "body"),
        ] {
            assert_eq!(refused(&bad), field, "{bad}");
        }
    }

    #[test]
    fn what_is_no_batch_is_refused_whole() {
        for json in ["", "{}", "null", "5", r#""ann@shop.test""#, "[] x", r#"[{"objectId":}]"#, "[{}"] {
            assert!(matches!(read(json), Err(Error::InvalidWebhook { event: None, field: "body", .. })), "{json}");
        }
        assert!(matches!(notices(b"[\xff]", vid(PORTAL)), Err(Error::InvalidWebhook { .. })));
        let many = |n: usize| format!("[{}]", vec!["{}"; n].join(","));
        assert_eq!(read(&many(MAX_EVENTS)).unwrap().ignored, MAX_EVENTS);
        let refused = read(&many(MAX_EVENTS + 1)).unwrap().refused;
        assert!(matches!(refused, Some(Error::InvalidWebhook { event: Some(MAX_EVENTS), .. })), "{refused:?}");
    }
}
