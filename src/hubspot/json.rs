//! JSON as HubSpot sends it: every field may be missing, null or of a type that nobody expected, and most of them do
//! not matter. So each field is read as whatever it is, without copying, and only asked for its meaning where it has
//! one: then what is wrong with it can be told by its name. A value is never repeated, it may be personal.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Error;
use crate::event::{LATEST, Millis};
use crate::identity::Vid;
use crate::limits::MAX_BODY;

/// A field that cannot be what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) field: &'static str,
    pub(super) why: &'static str,
}

pub(super) type Read<T> = std::result::Result<T, Wrong>;

/// The text of a body, or what is wrong with it.
pub(super) fn text(body: &[u8]) -> std::result::Result<&str, &'static str> {
    if body.len() > MAX_BODY {
        return Err("it is longer than 16 MiB");
    }
    std::str::from_utf8(body).map_err(|_| "it is not UTF-8")
}

/// serde_json's message can quote the input; its category cannot.
pub(super) fn syntax(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "it is not JSON (it ends too early)",
        // Fields are read as whatever they are, so nothing else can be wrong with the data.
        serde_json::error::Category::Data => "a field is there twice",
        _ => "it is not JSON (syntax)",
    }
}

/// The value of a field. Of a list or an object only this is kept, that it was one (`Nested`).
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) enum Field<'a> {
    #[default]
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    /// A number that is not a 64-bit integer.
    Number,
    Text(Cow<'a, str>),
    Nested,
}

impl Field<'_> {
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The text of a field, or none: for words beside those that matter, which cannot make an answer another one.
    pub(super) fn word(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    pub(super) fn text(&self, field: &'static str) -> Read<Option<&str>> {
        match self {
            Self::Absent | Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            _ => Err(Wrong { field, why: "it is not text" }),
        }
    }

    pub(super) fn flag(&self, field: &'static str) -> Read<Option<bool>> {
        match self {
            Self::Absent | Self::Null => Ok(None),
            Self::Bool(flag) => Ok(Some(*flag)),
            _ => Err(Wrong { field, why: "it is neither true nor false" }),
        }
    }

    /// A contact id: a number in v1 and in webhooks, decimal text in v3.
    pub(super) fn vid(&self, field: &'static str) -> Read<Option<Vid>> {
        let vid = match self {
            Self::Absent | Self::Null => return Ok(None),
            Self::Int(id) => Vid::try_from(*id),
            Self::Text(text) => text.parse(),
            Self::Number => Err(Error::InvalidVid("it is not an integer up to 2^63 - 1")),
            Self::Bool(_) | Self::Nested => Err(Error::InvalidVid("it is neither a number nor text")),
        };
        match vid {
            Ok(vid) => Ok(Some(vid)),
            Err(Error::InvalidVid(why)) => Err(Wrong { field, why }),
            Err(_) => Err(Wrong { field, why: "it is not an id" }),
        }
    }

    /// A time: milliseconds in v1 and in webhooks, RFC 3339 in v3.
    pub(super) fn time(&self, field: &'static str) -> Read<Option<Millis>> {
        let millis = match self {
            Self::Absent | Self::Null => return Ok(None),
            Self::Int(millis) => Some(*millis),
            Self::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            Self::Text(text) => OffsetDateTime::parse(text, &Rfc3339)
                .ok()
                .map(|time| time.unix_timestamp() * 1000 + Millis::from(time.millisecond())),
            _ => return Err(Wrong { field, why: "it is neither a number nor text" }),
        };
        match millis {
            Some(millis) if (0..=LATEST).contains(&millis) => Ok(Some(millis)),
            Some(_) => Err(Wrong { field, why: "it is not a time from 1970 to 9999" }),
            None => Err(Wrong { field, why: "it is neither milliseconds nor an RFC 3339 time" }),
        }
    }
}

pub(super) struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Field<'de>, E> {
        Ok(Field::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Field<'de>, E> {
        Ok(Field::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Field<'de>, E> {
        Ok(Field::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field<'de>, E> {
        Ok(i64::try_from(number).map_or(Field::Number, Field::Int))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field<'de>, E> {
        Ok(Field::Number)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Field<'de>, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| Field::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field<'de>, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Field::Nested)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

/// A value, or the first of a list of values: HubSpot's errors have either.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct First<'a>(pub(super) Field<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for First<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FirstVisitor).map(First)
    }
}

struct FirstVisitor;

impl<'de> Visitor<'de> for FirstVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<'de>, A::Error> {
        let first = seq.next_element()?.unwrap_or_default();
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }

    // All else is as it is in any field.
    fn visit_unit<E: serde::de::Error>(self) -> Result<Field<'de>, E> {
        FieldVisitor.visit_unit()
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Field<'de>, E> {
        FieldVisitor.visit_bool(flag)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Field<'de>, E> {
        FieldVisitor.visit_i64(number)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Field<'de>, E> {
        FieldVisitor.visit_u64(number)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Field<'de>, E> {
        FieldVisitor.visit_f64(number)
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Field<'de>, E> {
        FieldVisitor.visit_borrowed_str(text)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Field<'de>, E> {
        FieldVisitor.visit_str(text)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field<'de>, A::Error> {
        FieldVisitor.visit_map(map)
    }
}

/// A value of one shape, an object or a list, or none.
#[derive(Debug, Default, Clone, PartialEq)]
enum Found<T> {
    Is(T),
    #[default]
    Nothing,
    Other,
}

/// An object, or whatever stands in its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object<T>(Found<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(Found::Nothing)
    }
}

impl<T> Object<T> {
    pub(super) fn get(&self, field: &'static str) -> Read<Option<&T>> {
        match &self.0 {
            Found::Is(object) => Ok(Some(object)),
            Found::Nothing => Ok(None),
            Found::Other => Err(Wrong { field, why: "it is not an object" }),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shaped::<T, OBJECT>(PhantomData)).map(Self)
    }
}

/// A list of at most `MAX` elements, so that a few bytes of a body never become a thousand in memory; or whatever
/// stands in its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct List<T, const MAX: usize>(Found<Elements<T, MAX>>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Found::Nothing)
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    pub(super) fn get(&self, field: &'static str) -> Read<Option<&[T]>> {
        match &self.0 {
            Found::Is(Elements(Some(elements))) => Ok(Some(elements)),
            Found::Is(Elements(None)) => Err(Wrong { field, why: "it has too many elements" }),
            Found::Nothing => Ok(None),
            Found::Other => Err(Wrong { field, why: "it is not a list" }),
        }
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shaped::<Elements<T, MAX>, LIST>(PhantomData)).map(Self)
    }
}

/// `None`: there were more.
#[derive(Debug, Clone, PartialEq)]
struct Elements<T, const MAX: usize>(Option<Vec<T>>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Elements<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Each<T, MAX> {
            type Value = Elements<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while elements.len() < MAX {
                    match seq.next_element()? {
                        Some(element) => elements.push(element),
                        None => return Ok(Elements(Some(elements))),
                    }
                }
                let fits = seq.next_element::<IgnoredAny>()?.is_none();
                while !fits && seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Elements(fits.then_some(elements)))
            }
        }
        deserializer.deserialize_seq(Each(PhantomData))
    }
}

const OBJECT: u8 = 0;
const LIST: u8 = 1;

/// Reads a `T` where there is an object (or a list), and passes over whatever else there is.
struct Shaped<T, const SHAPE: u8>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const SHAPE: u8> Visitor<'de> for Shaped<T, SHAPE> {
    type Value = Found<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Found<T>, E> {
        Ok(Found::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found<T>, E> {
        Ok(Found::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found<T>, E> {
        Ok(Found::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found<T>, E> {
        Ok(Found::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found<T>, E> {
        Ok(Found::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Found<T>, E> {
        Ok(Found::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Found<T>, A::Error> {
        match SHAPE {
            LIST => T::deserialize(SeqAccessDeserializer::new(seq)).map(Found::Is),
            _ => IgnoredAny.visit_seq(seq).map(|_| Found::Other),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Found<T>, A::Error> {
        match SHAPE {
            OBJECT => T::deserialize(MapAccessDeserializer::new(map)).map(Found::Is),
            _ => IgnoredAny.visit_map(map).map(|_| Found::Other),
        }
    }
}
