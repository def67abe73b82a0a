//! What an API answer says of contacts, told apart by shape: v1 `createOrUpdate`, profile and delete; a v3 (and
//! dated-path) object; search and batches; the refusals; the answers that say nothing. HubSpot calls
//! every field optional and adds new ones freely, so unknown fields are ignored and a missing one is only an error
//! where nothing can be done without it.
//!
//! Errors name fields, never values: an answer is full of personal data.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::fact::{Answer, Contact, Contacts, EmailFact};
use super::json::{self, Field, List, Object, Read, Wrong};
use super::problem::Problem;
use super::property::{Identities, Properties};
use super::refusal;
use crate::email::Email;
use crate::error::{Error, Result};
use crate::identity::Vid;
use crate::limits::{MAX_IDS, MAX_RESULTS};

/// Reads an answer's body.
///
/// # Errors
/// [`Error::InvalidAnswer`]; [`Error::HubspotError`] for an error of HubSpot's that is none of the refusals that
/// matter; [`Error::AnswerWithoutId`] for JSON that is about something else.
pub(crate) fn answer(body: &[u8]) -> Result<Answer> {
    let invalid = |why: &str| Error::InvalidAnswer(why.into());
    let text = json::text(body).map_err(invalid)?.trim_ascii();
    if text.is_empty() || text == "SUCCESS" || text == "\"SUCCESS\"" {
        return Ok(Answer::Done);
    }
    let body: Object<Body<'_, List<Object<Body<'_>>, MAX_RESULTS>>> =
        serde_json::from_str(text).map_err(|e| invalid(json::syntax(&e)))?;
    let Ok(Some(body)) = body.get("") else {
        return Err(invalid("it is not a JSON object"));
    };
    if matches!(&body.status, Field::Text(status) if status == "error") {
        return refusal::read(&body.refusal()).map_err(|wrong| invalid_field("", wrong))?;
    }
    if let Some(results) = body.results.get("results").map_err(|wrong| invalid_field("", wrong))? {
        return contacts(results, body).map(Answer::Contacts);
    }
    match body.contact().map_err(|wrong| invalid_field("", wrong))? {
        Some(contact) => Ok(Answer::Contact(contact)),
        None => Err(Error::AnswerWithoutId("it has neither id nor vid".into())),
    }
}

/// The one contact that an answer is about.
///
/// # Errors
/// As [`answer`], and for every answer that is not about one contact: [`Error::ContactConflict`],
/// [`Error::ContactMissing`], [`Error::Refused`], [`Error::RateLimited`], [`Error::AnswerWithoutId`].
pub(crate) fn contact(body: &[u8]) -> Result<Contact> {
    match answer(body)? {
        Answer::Contact(contact) => Ok(contact),
        Answer::Contacts(mut list) if list.contacts.len() == 1 => Ok(list.contacts.remove(0)),
        Answer::Contacts(_) => Err(Error::AnswerWithoutId("it is a list of none, or of several".into())),
        Answer::Conflict { vid } => Err(Error::ContactConflict { vid }),
        Answer::Missing => Err(Error::ContactMissing),
        Answer::Refused { why } => Err(Error::Refused { why }),
        Answer::RateLimited { retry_after } => Err(Error::RateLimited { retry_after }),
        Answer::Done => Err(Error::AnswerWithoutId("it says that it was done, and no more: read the contact".into())),
    }
}

fn invalid_field(place: &str, wrong: Wrong) -> Error {
    let dot = if place.is_empty() || wrong.field.is_empty() { "" } else { "." };
    Error::InvalidAnswer(format!("field {place}{dot}{}: {}", wrong.field, wrong.why))
}

fn contacts<R>(results: &[Object<Body<'_>>], body: &Body<'_, R>) -> Result<Contacts> {
    let mut list = Contacts::default();
    for (i, result) in results.iter().enumerate() {
        let place = format!("results[{i}]");
        let contact = result.get("").and_then(|found| found.map_or(Ok(None), Body::contact));
        match contact.map_err(|wrong| invalid_field(&place, wrong))? {
            Some(contact) => list.contacts.push(contact),
            None => return Err(invalid_field(&place, Wrong { field: "id", why: "it is missing" })),
        }
    }
    body.missing(&mut list).map_err(|wrong| invalid_field("", wrong))?;
    Ok(list)
}

/// The fields of every shape of answer; `R` is the list of results, which results have not.
#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "R: Deserialize<'de> + Default"))]
struct Body<'a, R = IgnoredAny> {
    // v1
    #[serde(borrow)]
    vid: Field<'a>,
    #[serde(borrow, rename = "canonical-vid")]
    canonical_vid: Field<'a>,
    #[serde(borrow, rename = "portal-id")]
    portal_id: Field<'a>,
    #[serde(borrow, rename = "merged-vids")]
    merged_vids: List<Field<'a>, MAX_IDS>,
    #[serde(borrow, rename = "isNew")]
    is_new: Field<'a>,
    #[serde(borrow)]
    deleted: Field<'a>,
    #[serde(borrow, rename = "identity-profiles")]
    identity_profiles: List<Object<Identities<'a>>, MAX_RESULTS>,
    // v1 and v3
    #[serde(borrow)]
    properties: Object<Properties<'a>>,
    // v3
    #[serde(borrow)]
    id: Field<'a>,
    #[serde(borrow)]
    new: Field<'a>,
    #[serde(borrow, rename = "updatedAt")]
    updated_at: Field<'a>,
    #[serde(borrow)]
    archived: Field<'a>,
    #[serde(borrow, rename = "archivedAt")]
    archived_at: Field<'a>,
    // `contacts` in v1's lists and searches.
    #[serde(alias = "contacts")]
    results: R,
    #[serde(borrow)]
    errors: List<Object<Problem<'a>>, MAX_RESULTS>,
    // Refusals.
    #[serde(borrow, rename = "validationResults")]
    validation_results: List<Object<Problem<'a>>, MAX_RESULTS>,
    #[serde(borrow, rename = "errorTokens")]
    error_tokens: Object<refusal::Tokens<'a>>,
    #[serde(borrow)]
    name: Field<'a>,
    #[serde(borrow)]
    status: Field<'a>,
    #[serde(borrow)]
    message: Field<'a>,
    #[serde(borrow)]
    category: Field<'a>,
    #[serde(borrow)]
    error: Field<'a>,
    #[serde(borrow, rename = "errorType")]
    error_type: Field<'a>,
    #[serde(borrow, rename = "policyName")]
    policy_name: Field<'a>,
    #[serde(borrow, rename = "identityProfile")]
    identity_profile: Object<refusal::Holder<'a>>,
}

impl<R> Body<'_, R> {
    /// The contact that the body describes; none where it has no id.
    fn contact(&self) -> Read<Option<Contact>> {
        match (self.vid.is_absent(), self.id.is_absent()) {
            (false, _) => self.v1().map(Some),
            (true, false) => self.v3().map(Some),
            (true, true) => Ok(None),
        }
    }

    /// `{"vid":1,"isNew":false}`, a profile, where `canonical-vid` is the contact that lives and `vid` may be the
    /// merged-away id that was asked for; or `{"vid":1,"deleted":true}`.
    fn v1(&self) -> Read<Contact> {
        let asked = required(&self.vid, "vid")?;
        let vid = self.canonical_vid.vid("canonical-vid")?.unwrap_or(asked);
        let properties = self.properties.get("properties")?;
        let deleted = self.deleted.flag("deleted")?.unwrap_or(false);
        let email = properties.map_or(Ok(None), Properties::v1_email)?;
        let modified = properties.map_or(Ok(None), Properties::modified)?;
        let mut merged = Merged { living: vid, ids: Vec::new() };
        // `merged-vids` holds the living one too.
        for id in self.merged_vids.get("merged-vids")?.unwrap_or_default() {
            merged.add(required(id, "merged-vids")?);
        }
        merged.add(asked);
        merged.listed(properties)?;
        Ok(Contact {
            vid,
            asked: (asked != vid).then_some(asked),
            portal: self.portal_id.vid("portal-id")?,
            created: self.is_new.flag("isNew")?,
            deleted,
            at: modified.max(email.map(|fact| fact.at)),
            email,
            secondary: self.v1_secondary(properties)?,
            merged: merged.once(),
        })
    }

    fn v1_secondary(&self, properties: Option<&Properties<'_>>) -> Read<Option<Vec<Email>>> {
        let Some(profiles) = self.identity_profiles.get("identity-profiles")? else {
            return properties.map_or(Ok(None), Properties::additional_emails);
        };
        let mut emails = Vec::new();
        for profile in profiles {
            if let Some(profile) = profile.get("identity-profiles")? {
                profile.secondary(&mut emails)?;
            }
        }
        Ok(Some(emails))
    }

    /// `{"id":"37765128953","properties":{"email":"a@x.test"},"updatedAt":"2024-09-17T15:20:01.120Z"}`. A merge answers
    /// with an id that is new, a read by an old id with that of the living contact.
    fn v3(&self) -> Read<Contact> {
        let vid = required(&self.id, "id")?;
        let properties = self.properties.get("properties")?;
        let deleted = self.archived.flag("archived")?.unwrap_or(false);
        let updated = self.updated_at.time("updatedAt")?;
        // An archived contact holds its email no more: a page that named it would make a new contact.
        let at = if deleted { updated.max(self.archived_at.time("archivedAt")?) } else { updated };
        let email = match properties.map_or(Ok(None), Properties::v3_email)? {
            _ if deleted => at.map(|at| EmailFact { email: None, at }),
            None => None,
            Some(email) => at.map(|at| EmailFact { email, at }),
        };
        let mut merged = Merged { living: vid, ids: Vec::new() };
        merged.listed(properties)?;
        Ok(Contact {
            vid,
            asked: None,
            portal: None,
            created: self.new.flag("new")?,
            deleted,
            at,
            email,
            secondary: properties.map_or(Ok(None), Properties::additional_emails)?,
            merged: merged.once(),
        })
    }

    /// What a batch says it did not find. An email in there is counted and not repeated.
    fn missing(&self, list: &mut Contacts) -> Read<()> {
        for error in self.errors.get("errors")?.unwrap_or_default() {
            let Some(error) = error.get("errors")? else { continue };
            if error.category.text("errors.category")?.is_some_and(|category| category != "OBJECT_NOT_FOUND") {
                continue;
            }
            let Some(context) = error.context.get("errors.context")? else { continue };
            for id in context.ids.get("errors.context.ids")?.unwrap_or_default() {
                match id.vid("errors.context.ids") {
                    Ok(Some(vid)) => list.missing.push(vid),
                    _ => list.missing_unnamed += 1,
                }
            }
        }
        Ok(())
    }

    fn refusal(&self) -> refusal::Fields<'_> {
        refusal::Fields {
            message: &self.message,
            category: &self.category,
            error: &self.error,
            error_type: &self.error_type,
            name: &self.name,
            policy_name: &self.policy_name,
            identity_profile: &self.identity_profile,
            error_tokens: &self.error_tokens,
            problems: [&self.validation_results, &self.errors]
                .map(|list| list.get("errors").ok().flatten().unwrap_or_default()),
        }
    }
}

/// The ids that stand for the living contact.
struct Merged {
    living: Vid,
    ids: Vec<Vid>,
}

impl Merged {
    fn add(&mut self, id: Vid) {
        if id != self.living {
            self.ids.push(id);
        }
    }

    fn once(mut self) -> Vec<Vid> {
        self.ids.sort_unstable();
        self.ids.dedup();
        self.ids
    }

    fn listed(&mut self, properties: Option<&Properties<'_>>) -> Read<()> {
        properties.map_or(Ok(()), |properties| properties.merged(|id| self.add(id)))
    }
}

fn required(id: &Field<'_>, field: &'static str) -> Read<Vid> {
    id.vid(field)?.ok_or(Wrong { field, why: "it is null" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Millis;

    fn read(json: &str) -> Result<Contact> {
        contact(json.as_bytes())
    }

    fn fact(json: &str) -> (i64, Option<(Option<String>, Millis)>) {
        let contact = read(json).unwrap();
        (contact.vid.get(), contact.email.map(|f| (f.email.map(|e| e.as_str().to_owned()), f.at)))
    }

    fn held(email: &str, at: Millis) -> Option<(Option<String>, Millis)> {
        Some((Some(email.into()), at))
    }

    #[test]
    fn v1_create_or_update_names_a_contact_and_no_email() {
        assert_eq!(fact(r#"{"vid":1582724,"isNew":false}"#), (1582724, None));
    }

    #[test]
    fn v1_profile_of_a_merged_contact_is_the_contact_that_lives() {
        let json = r#"{"vid":7823474,"canonical-vid":7823424,"merged-vids":[7823474,7823424],"portal-id":62515,
            "properties":{"email":{"value":"A@x.test","versions":[
                {"value":"A@x.test","source-type":"API","timestamp":1531148079152},
                {"value":"old@x.test","source-type":"API","timestamp":1531148079999}]}}}"#;
        assert_eq!(fact(json), (7823424, held("a@x.test", 1531148079152)));
        assert_eq!(fact(r#"{"vid":5,"properties":{"email":{"value":"a@x.test"}}}"#), (5, None), "no time, no fact");
    }

    #[test]
    fn v3_object_names_its_email_and_when_it_held_it() {
        let json = r#"{"id":"37765128953","properties":{"email":"a@x.test","hs_object_id":"37765128953"},
            "createdAt":"2024-09-17T15:19:55.000Z","updatedAt":"2024-09-17T15:20:01.120Z","archived":false}"#;
        assert_eq!(fact(json), (37765128953, held("a@x.test", 1726586401120)));
    }

    #[test]
    fn a_contact_without_an_email_or_in_the_archive_holds_none() {
        let json = r#"{"id":"9","properties":{"email":null},"updatedAt":"1970-01-01T00:00:01Z"}"#;
        assert_eq!(fact(json), (9, Some((None, 1000))));
        let json = r#"{"id":"9","properties":{"email":"a@x.test"},"updatedAt":"1970-01-01T00:00:01Z",
            "archived":true,"archivedAt":"1970-01-01T00:00:02Z"}"#;
        assert_eq!(fact(json), (9, Some((None, 2000))));
    }

    #[test]
    fn an_answer_without_the_email_property_says_nothing_of_it() {
        assert_eq!(fact(r#"{"id":"9","properties":{},"updatedAt":"1970-01-01T00:00:01Z"}"#), (9, None));
        assert_eq!(fact(r#"{"id":"9","properties":{"email":"a@x.test"}}"#), (9, None), "no time, no fact");
    }

    fn ids(vids: &[Vid]) -> Vec<i64> {
        vids.iter().map(|vid| vid.get()).collect()
    }

    fn vid(id: i64) -> Option<Vid> {
        Some(Vid::try_from(id).unwrap())
    }

    fn emails(emails: Option<Vec<Email>>) -> Option<Vec<String>> {
        Some(emails?.iter().map(|email| email.as_str().to_owned()).collect())
    }

    #[test]
    fn v1_profile_tells_merged_ids_without_the_living_one_and_secondary_emails() {
        let json = r#"{"vid":7823474,"canonical-vid":7823424,"merged-vids":[7823474,7823424,51],"properties":{
                "email":{"value":"a@x.test","versions":[{"value":"a@x.test","timestamp":10}]},
                "lastmodifieddate":{"value":"1531148079999","versions":[]}},
            "identity-profiles":[
                {"vid":7823424,"identities":[{"type":"EMAIL","value":"a@x.test","timestamp":1,"is-primary":true},
                    {"type":"EMAIL","value":"B@x.test","timestamp":2,"is-secondary":true},
                    {"type":"LEAD_GUID","value":"uuid","timestamp":1}]},
                {"vid":7823474,"identities":[{"type":"LEAD_GUID","value":"uuid","is-secondary":true}]}]}"#;
        let contact = read(json).unwrap();
        assert_eq!((contact.vid.get(), contact.asked), (7823424, vid(7823474)));
        assert_eq!(ids(&contact.merged), [51, 7823474]);
        assert_eq!(emails(contact.secondary), Some(vec!["b@x.test".into()]));
        assert_eq!((contact.at, contact.email.unwrap().at), (Some(1531148079999), 10));
        let contact = read(r#"{"vid":5,"isNew":true}"#).unwrap();
        assert_eq!(
            (contact.asked, contact.created, contact.deleted, contact.secondary),
            (None, Some(true), false, None)
        );
        assert!(read(r#"{"vid":163808,"deleted":true}"#).unwrap().deleted);
    }

    #[test]
    fn v3_object_tells_merged_ids_and_secondary_emails_where_they_were_asked_for() {
        let json = r#"{"id":"9","new":false,"properties":{"hs_additional_emails":"b@x.test;c@x.test","hs_merged_object_ids":"51;1;9",
            "hs_calculated_merged_vids":"1551:1531148079152;51:1531148079153","hs_all_contact_vids":"9;51"},
            "updatedAt":"1970-01-01T00:00:01Z"}"#;
        let contact = read(json).unwrap();
        assert_eq!(ids(&contact.merged), [1, 51, 1551]);
        assert_eq!(emails(contact.secondary), Some(vec!["b@x.test".into(), "c@x.test".into()]));
        assert_eq!((contact.at, contact.created, contact.email), (Some(1000), Some(false), None));
        let contact =
            read(r#"{"id":"9","properties":{"hs_additional_emails":null,"hs_merged_object_ids":""}}"#).unwrap();
        assert_eq!((emails(contact.secondary), contact.merged), (Some(vec![]), vec![]));
    }

    #[test]
    fn a_list_is_contacts_in_any_order_and_what_was_not_found() {
        let json = r#"{"status":"COMPLETE","results":[
                {"id":"902","new":true,"properties":{"email":"b@x.test"},"updatedAt":"1970-01-01T00:00:01Z","archived":false},
                {"id":"901","properties":{"email":"a@x.test","hs_merged_object_ids":"51"},"updatedAt":"1970-01-01T00:00:01Z"}],
            "numErrors":2,"errors":[
                {"status":"error","category":"OBJECT_NOT_FOUND","message":"x","context":{"ids":["gone@x.test","77",78]}},
                {"status":"error","category":"VALIDATION_ERROR","context":{"ids":["79"]}}]}"#;
        let Ok(Answer::Contacts(list)) = answer(json.as_bytes()) else { panic!("not a list") };
        assert_eq!(list.contacts.iter().map(|c| c.vid.get()).collect::<Vec<_>>(), [902, 901]);
        assert_eq!((ids(&list.missing), list.missing_unnamed), (vec![77, 78], 1));
        assert!(matches!(read(json), Err(Error::AnswerWithoutId(_))), "which of them?");
        assert_eq!(fact(r#"{"total":1,"results":[{"id":"901"}]}"#), (901, None));
        assert_eq!(fact(r#"{"contacts":[{"vid":901}],"has-more":false,"vid-offset":901}"#), (901, None));
        for (json, field) in [
            (r#"{"results":[{"id":"1"},{}]}"#, "results[1].id"),
            (r#"{"results":[5]}"#, "results[0]"),
            (r#"{"results":[{"id":"1","updatedAt":5.5}]}"#, "results[0].updatedAt"),
            (r#"{"results":{}}"#, "results"),
            (r#"{"results":[],"errors":[{"context":{"ids":5}}]}"#, "errors.context.ids"),
        ] {
            let Err(Error::InvalidAnswer(message)) = answer(json.as_bytes()) else { panic!("accepted {json}") };
            assert!(message.contains(field), "{json}: {message}");
        }
    }

    #[test]
    fn a_conflict_names_the_contact_in_every_form() {
        for (json, id) in [
            (
                r#"{"status":"error","message":"Contact already exists. Existing ID: 51","category":"CONFLICT"}"#,
                vid(51),
            ),
            (
                r#"{"message":"Contact already exists","identityProfile":{"vid":12053574,"identity":[{"value":"a@x.test"}]},
                    "status":"error","error":"CONTACT_EXISTS"}"#,
                vid(12053574),
            ),
            (
                r#"{"status":"error","message":"{\"msg\":\"Contact already existed\",\"error\":\"CONTACT_EXISTS\",\"property\":{\"vid\":82325}}"}"#,
                vid(82325),
            ),
            (r#"{"status":"error","message":"Contact already exists"}"#, None),
        ] {
            assert_eq!(answer(json.as_bytes()), Ok(Answer::Conflict { vid: id }), "{json}");
            assert_eq!(read(json).unwrap_err(), Error::ContactConflict { vid: id });
        }
        let json = r#"{"status":"error","message":"ann@shop.test","category":"CONFLICT"}"#;
        let category = Some("CONFLICT".into());
        assert_eq!(read(json), Err(Error::HubspotError { category }), "another kind of conflict");
        let json = r#"{"status":"error","error":"CONTACT_EXISTS","identityProfile":{"vid":"ann@shop.test"}}"#;
        assert!(matches!(read(json), Err(Error::InvalidAnswer(_))));
    }

    #[test]
    fn a_missing_contact_a_rate_limit_and_silence_are_told_apart() {
        for json in [
            r#"{"status":"error","message":"contact does not exist","correlationId":".."}"#,
            r#"{"status":"error","message":"resource not found"}"#,
            r#"{"status":"error","message":"ann@shop.test","category":"OBJECT_NOT_FOUND"}"#,
        ] {
            assert_eq!(read(json), Err(Error::ContactMissing), "{json}");
        }
        for (json, seconds) in [
            (r#"{"status":"error","errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING"}"#, Some(10)),
            (
                r#"{"status":"error","message":"You have reached your ten_secondly_rolling limit.","errorType":"RATE_LIMIT"}"#,
                Some(10),
            ),
            (
                r#"{"status":"error","message":"You have reached your secondly limit.","category":"RATE_LIMITS"}"#,
                Some(1),
            ),
            (r#"{"status":"error","errorType":"RATE_LIMIT","policyName":"DAILY"}"#, None),
        ] {
            assert_eq!(read(json), Err(Error::RateLimited { retry_after: seconds.map(Duration::from_secs) }), "{json}");
        }
        for text in ["", " \n", "SUCCESS", "\"SUCCESS\"\n"] {
            assert_eq!(answer(text.as_bytes()), Ok(Answer::Done));
            assert!(matches!(read(text), Err(Error::AnswerWithoutId(_))));
        }
    }

    #[test]
    fn what_names_no_contact_is_refused() {
        for json in ["{}", r#"{"results":[]}"#, r#"{"message":"ann@shop.test"}"#, r#"{"vid":null}"#] {
            let Err(error) = read(json) else { panic!("accepted {json}") };
            assert!(!error.to_string().contains("ann@"), "{error}");
        }
    }

    #[test]
    fn wrong_types_are_refused_by_the_field_s_name_and_never_its_value() {
        for (json, field) in [
            ("nonsense", "JSON"),
            ("\u{0}", "JSON"),
            (r#"["ann@shop.test"]"#, "JSON object"),
            (r#"{"id":null}"#, "id"),
            (r#"{"id":"ann@shop.test"}"#, "id"),
            (r#"{"id":0}"#, "id"),
            (r#"{"id":"-5"}"#, "id"),
            (r#"{"id":"9223372036854775808"}"#, "id"),
            (r#"{"vid":9223372036854775808}"#, "vid"),
            (r#"{"vid":1.5}"#, "vid"),
            (r#"{"vid":1,"canonical-vid":{}}"#, "canonical-vid"),
            (r#"{"vid":1,"properties":"ann@shop.test"}"#, "properties"),
            (r#"{"vid":1,"properties":{"email":"ann@shop.test"}}"#, "properties.email"),
            (r#"{"vid":1,"properties":{"email":{"value":1}}}"#, "properties.email.value"),
            (r#"{"vid":1,"properties":{"email":{"value":"a@x.test","versions":1}}}"#, "versions"),
            (
                r#"{"vid":1,"properties":{"email":{"value":"ann@shop.test","versions":[{"value":"ann@shop.test","timestamp":"ann@shop.test"}]}}}"#,
                "timestamp",
            ),
            (r#"{"id":"1","updatedAt":"ann@shop.test"}"#, "updatedAt"),
            (r#"{"id":"1","updatedAt":-5}"#, "updatedAt"),
            (
                r#"{"id":"1","updatedAt":"1970-01-01T00:00:01Z","properties":{"email":["ann@shop.test"]}}"#,
                "properties.email",
            ),
        ] {
            let Err(Error::InvalidAnswer(message)) = read(json) else { panic!("accepted {json}") };
            assert!(message.contains(field), "{json}: {message}");
            assert!(!message.contains("ann@"), "{message}");
        }
    }

    #[test]
    fn a_deep_answer_is_an_error_and_not_a_stack_overflow() {
        let deep = "[".repeat(200_000);
        assert!(matches!(read(&deep), Err(Error::InvalidAnswer(_))));
    }
}
