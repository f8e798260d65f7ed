//! Hashes: read in every form that there has been, written in those that Redis writes now.

use std::collections::HashMap;
use std::ops::Range;

use super::listpack::{Builder, Element, Elements};
use super::sink::Sink;
use super::source::{self, Source};
use super::{
    Dialect, HASH, HASH_LISTPACK, HASH_LISTPACK_EX, HASH_LISTPACK_EX_EARLY, HASH_METADATA, HASH_METADATA_EARLY,
    HASH_TEMPLATE_ARRAY, HASH_TEMPLATE_ARRAY_REFERENCE, HASH_TEMPLATE_LISTPACK, HASH_TEMPLATE_LISTPACK_REFERENCE,
    HASH_ZIPLIST, HASH_ZIPMAP, RdbError, Result, old,
};
use crate::base::clock::UnixMillis;
use crate::store::{Encoding, HashImage, ImageField, NewField};

/// The latest expiry of a field, as in Redis.
const LATEST_EXPIRY: i64 = (1 << 48) - 1;

/// Where a text is: in the encoded hash, or, beyond its length, among the texts.
type Place = Range<usize>;

/// A field that has been read.
#[derive(Debug)]
struct Field {
    name: Place,
    value: Place,
    expiry: Option<UnixMillis>,
}

/// A hash that has been read. One is used for many, one after the other.
#[derive(Debug, Default)]
pub struct Parts {
    /// A listpack or its like.
    encoded: Vec<u8>,
    /// What stands elsewhere.
    texts: Vec<u8>,
    fields: Vec<Field>,
    /// The hashes of the names and the numbers of their fields, if there are many.
    order: Vec<(u64, usize)>,
    hasher: ahash::RandomState,
    /// Whether its encoding is one of those for expiries.
    pub has_expiries: bool,
    /// Whether long fields and values, and not only their number, make it a hashtable.
    pub is_measured: bool,
}

/// The field names of the hashes of a file that share theirs, by number.
pub type Templates = HashMap<u64, Vec<Vec<u8>>>;

/// Whether a type is one of a hash.
pub fn is_hash(kind: u8) -> bool {
    matches!(
        kind,
        HASH | HASH_ZIPMAP
            | HASH_ZIPLIST
            | HASH_LISTPACK
            | HASH_METADATA_EARLY..=HASH_LISTPACK_EX
            | HASH_TEMPLATE_LISTPACK..=HASH_TEMPLATE_ARRAY_REFERENCE
    )
}

/// Skips a hash; one that refers to a template is not.
pub fn skip(source: &mut impl Source, kind: u8, dialect: Dialect) -> Result<()> {
    match (kind, dialect) {
        (HASH_LISTPACK | HASH_ZIPLIST | HASH_ZIPMAP, _) | (HASH_LISTPACK_EX_EARLY, Dialect::Redis) => {
            source::skip_string(source)
        }
        (HASH_LISTPACK_EX, Dialect::Redis) => {
            source.skip(8)?;
            source::skip_string(source)
        }
        (HASH, _) => {
            let count = source::length(source)?;
            source::skip_strings(source, count.saturating_mul(2))
        }
        (HASH_METADATA_EARLY, Dialect::Valkey) => {
            for _ in 0..source::length(source)? {
                source::skip_strings(source, 2)?;
                source.skip(8)?;
            }
            Ok(())
        }
        (HASH_METADATA_EARLY | HASH_METADATA, Dialect::Redis) => {
            if kind == HASH_METADATA {
                source.skip(8)?;
            }
            for _ in 0..source::length(source)? {
                source::length(source)?;
                source::skip_strings(source, 2)?;
            }
            Ok(())
        }
        _ => Err(RdbError::UnknownType(kind)),
    }
}

impl Parts {
    /// Its fields.
    pub fn fields(&self) -> impl Iterator<Item = NewField<'_>> {
        self.fields.iter().map(|field| NewField {
            field: self.text(&field.name),
            value: self.text(&field.value),
            expiry: field.expiry,
        })
    }

    /// Reads a hash of a type for which [`is_hash`] is true.
    pub fn read(&mut self, source: &mut impl Source, kind: u8, dialect: Dialect, templates: &Templates) -> Result<()> {
        self.clear();
        match (kind, dialect) {
            (HASH, _) => self.read_plain(source)?,
            (HASH_METADATA_EARLY, Dialect::Valkey) => self.read_valkey(source)?,
            (HASH_METADATA_EARLY | HASH_METADATA, Dialect::Redis) => self.read_metadata(source, kind)?,
            (HASH_LISTPACK_EX, Dialect::Redis) => {
                source::array::<8>(source)?;
                self.read_listpack(source, Shape::WithExpiries)?;
            }
            (HASH_LISTPACK_EX_EARLY, Dialect::Redis) => self.read_listpack(source, Shape::WithExpiries)?,
            (HASH_LISTPACK, _) => self.read_listpack(source, Shape::Pairs)?,
            (HASH_ZIPLIST, _) => self.read_pairs(source, |bytes, visit| old::ziplist(bytes, visit))?,
            (HASH_ZIPMAP, _) => {
                self.is_measured = true;
                self.read_pairs(source, |bytes, visit| old::zipmap(bytes, visit))?;
            }
            (HASH_TEMPLATE_LISTPACK | HASH_TEMPLATE_LISTPACK_REFERENCE, Dialect::Redis) => {
                let names = if kind == HASH_TEMPLATE_LISTPACK { Some(template_names(source)?) } else { None };
                self.read_listpack_of_template(source, names.as_deref(), templates)?;
            }
            (HASH_TEMPLATE_ARRAY | HASH_TEMPLATE_ARRAY_REFERENCE, Dialect::Redis) => {
                let own;
                let names = if kind == HASH_TEMPLATE_ARRAY {
                    own = template_names(source)?;
                    &own
                } else {
                    template(templates, source::length(source)?)?
                };
                self.is_measured = true;
                for name in names {
                    let (name, value) = (self.add_text(name), self.read_text(source)?);
                    self.push(name, value, None);
                }
            }
            _ => return Err(RdbError::UnknownType(kind)),
        }
        if self.fields.is_empty() {
            return Err(RdbError::Malformed("it has a hash without fields"));
        }
        self.check_names()
    }

    fn clear(&mut self) {
        const KEEP: usize = 1 << 20;
        for buffer in [&mut self.encoded, &mut self.texts] {
            buffer.clear();
            buffer.shrink_to(KEEP);
        }
        self.fields.clear();
        self.fields.shrink_to(KEEP / size_of::<Field>());
        self.order.clear();
        self.order.shrink_to(KEEP / size_of::<(u64, usize)>());
        (self.has_expiries, self.is_measured) = (false, false);
    }

    fn read_plain(&mut self, source: &mut impl Source) -> Result<()> {
        self.is_measured = true;
        for _ in 0..source::count(source)? {
            let (name, value) = (self.read_text(source)?, self.read_text(source)?);
            self.push(name, value, None);
        }
        Ok(())
    }

    fn read_valkey(&mut self, source: &mut impl Source) -> Result<()> {
        const NONE: i64 = -1;
        self.is_measured = true;
        for _ in 0..source::count(source)? {
            let (name, value) = (self.read_text(source)?, self.read_text(source)?);
            let at = i64::from_le_bytes(source::array(source)?);
            let expiry = if at == NONE { None } else { Some(expiry(at)?) };
            self.has_expiries |= expiry.is_some();
            self.push(name, value, expiry);
        }
        Ok(())
    }

    fn read_metadata(&mut self, source: &mut impl Source, kind: u8) -> Result<()> {
        (self.has_expiries, self.is_measured) = (true, true);
        // Expiries are given from the first one on, which counts as 1: 0 is none.
        let base = match kind {
            HASH_METADATA => in_range(i64::from_le_bytes(source::array(source)?))? - 1,
            _ => 0,
        };
        for _ in 0..source::count(source)? {
            let expiry = match source::length(source)? {
                0 => None,
                after => Some(expiry(base.saturating_add(i64::try_from(after).unwrap_or(i64::MAX)))?),
            };
            let (name, value) = (self.read_text(source)?, self.read_text(source)?);
            self.push(name, value, expiry);
        }
        Ok(())
    }

    fn read_listpack(&mut self, source: &mut impl Source, shape: Shape) -> Result<()> {
        let encoded = self.read_encoded(source)?;
        let mut elements = Elements::new(&encoded)?;
        self.has_expiries = shape == Shape::WithExpiries;
        while let Some(name) = elements.advance()? {
            let name = self.place(name, encoded.len());
            let Some(value) = elements.advance()? else { return Err(ODD) };
            let value = self.place(value, encoded.len());
            let expiry = match shape {
                Shape::Pairs => None,
                Shape::WithExpiries => match elements.advance()?.ok_or(ODD)? {
                    Element::Integer(0) => None,
                    Element::Integer(at) => Some(expiry(at)?),
                    Element::Text { .. } => {
                        return Err(RdbError::Malformed("it has a field's expiry that is no number"));
                    }
                },
            };
            self.push(name, value, expiry);
        }
        self.encoded = encoded;
        Ok(())
    }

    /// Reads the values of a template's fields, before which stands its number.
    fn read_listpack_of_template(
        &mut self,
        source: &mut impl Source,
        names: Option<&[Vec<u8>]>,
        templates: &Templates,
    ) -> Result<()> {
        let encoded = self.read_encoded(source)?;
        let mut elements = Elements::new(&encoded)?;
        let Some(Element::Integer(number)) = elements.advance()? else { return Err(NO_TEMPLATE) };
        let names = match names {
            Some(names) => names,
            None => template(templates, u64::try_from(number).map_err(|_| NO_TEMPLATE)?)?,
        };
        for name in names {
            let value = elements.advance()?.ok_or(ODD)?;
            let value = self.place(value, encoded.len());
            let start = encoded.len() + self.texts.len();
            self.texts.extend_from_slice(name);
            self.push(start..start + name.len(), value, None);
        }
        if elements.advance()?.is_some() {
            return Err(ODD);
        }
        self.encoded = encoded;
        Ok(())
    }

    fn read_pairs(
        &mut self,
        source: &mut impl Source,
        read: impl FnOnce(&[u8], &mut dyn FnMut(Element) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let encoded = self.read_encoded(source)?;
        let mut waiting = None;
        read(&encoded, &mut |element| {
            let place = self.place(element, encoded.len());
            match waiting.take() {
                None => waiting = Some(place),
                Some(name) => self.push(name, place, None),
            }
            Ok(())
        })?;
        self.encoded = encoded;
        if waiting.is_some() { Err(ODD) } else { Ok(()) }
    }

    fn read_encoded(&mut self, source: &mut impl Source) -> Result<Vec<u8>> {
        let mut encoded = std::mem::take(&mut self.encoded);
        source::string(source, &mut encoded)?;
        Ok(encoded)
    }

    /// Reads a string to among the texts. Nothing is encoded then.
    fn read_text(&mut self, source: &mut impl Source) -> Result<Place> {
        let start = self.texts.len();
        source::string(source, &mut self.texts)?;
        Ok(start..self.texts.len())
    }

    fn add_text(&mut self, text: &[u8]) -> Place {
        let start = self.texts.len();
        self.texts.extend_from_slice(text);
        start..self.texts.len()
    }

    /// The place of an element of what is encoded in `length` bytes.
    fn place(&mut self, element: Element, length: usize) -> Place {
        match element {
            Element::Text { start, end } => start..end,
            Element::Integer(integer) => {
                let text = self.add_text(itoa::Buffer::new().format(integer).as_bytes());
                length + text.start..length + text.end
            }
        }
    }

    fn text(&self, place: &Place) -> &[u8] {
        text_in(&self.encoded, &self.texts, place)
    }

    fn push(&mut self, name: Place, value: Place, expiry: Option<UnixMillis>) {
        self.fields.push(Field { name, value, expiry });
    }

    /// Refuses a hash with a field that is there twice.
    fn check_names(&mut self) -> Result<()> {
        const FEW: usize = 12;
        const TWICE: RdbError = RdbError::Malformed("it has a hash with a field that is there twice");
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        let name = |at: usize| self.fields.get(at).map(|field| self.text(&field.name)).unwrap_or_default();
        let is_twice = if self.fields.len() <= FEW {
            (1..self.fields.len()).any(|at| (0..at).any(|before| is_same(name(before), name(at))))
        } else {
            order.extend((0..self.fields.len()).map(|at| (self.hasher.hash_one(name(at)), at)));
            order.sort_unstable();
            // What hashes alike stands together, and is hardly ever more than one.
            let alike = order.chunk_by(|(one, _), (other, _)| one == other).filter(|alike| alike.len() > 1);
            let mut names = alike.map(|alike| alike.iter().map(|&(_, at)| name(at)).collect::<Vec<_>>());
            names.any(|mut names| {
                names.sort_unstable();
                names.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
            })
        };
        self.order = order;
        if is_twice { Err(TWICE) } else { Ok(()) }
    }
}

/// Names of one length often begin alike; their last bytes tell most of them apart.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.last() == other.last() && one == other
}

const ODD: RdbError = RdbError::Malformed("it has a hash whose fields and values are not pairs");
const NO_TEMPLATE: RdbError = RdbError::Malformed("it has a hash of a template that is not there");

/// What follows a field in a listpack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Pairs,
    WithExpiries,
}

fn text_in<'t>(encoded: &'t [u8], texts: &'t [u8], place: &Place) -> &'t [u8] {
    match place.start.checked_sub(encoded.len()) {
        Some(start) => texts.get(start..place.end - encoded.len()).unwrap_or_default(),
        None => encoded.get(place.clone()).unwrap_or_default(),
    }
}

/// The expiry of a field. The first and the last one there can be stand for none in some places; the ones next to them do as
/// well.
fn expiry(at: i64) -> Result<UnixMillis> {
    in_range(at).map(|at| UnixMillis(at.clamp(1, LATEST_EXPIRY - 1)))
}

fn in_range(at: i64) -> Result<i64> {
    match at {
        0..=LATEST_EXPIRY => Ok(at),
        _ => Err(RdbError::Malformed("it has a field's expiry that is out of range")),
    }
}

fn template(templates: &Templates, number: u64) -> Result<&Vec<Vec<u8>>> {
    templates.get(&number).ok_or(NO_TEMPLATE)
}

/// The field names that stand with a hash of its own template: as a listpack, or as strings.
fn template_names(source: &mut impl Source) -> Result<Vec<Vec<u8>>> {
    match source::length(source)? {
        0 => {
            let mut encoded = Vec::new();
            source::string(source, &mut encoded)?;
            let (mut elements, mut names) = (Elements::new(&encoded)?, Vec::new());
            while let Some(element) = elements.advance()? {
                names.push(match element {
                    Element::Text { start, end } => encoded.get(start..end).unwrap_or_default().to_vec(),
                    Element::Integer(integer) => itoa::Buffer::new().format(integer).as_bytes().to_vec(),
                });
            }
            Ok(names)
        }
        1 => strings(source),
        _ => Err(RdbError::Malformed("it has a template of an unknown form")),
    }
}

/// Reads a number of strings.
pub fn strings(source: &mut impl Source) -> Result<Vec<Vec<u8>>> {
    let (count, mut all) = (source::count(source)?, Vec::new());
    for _ in 0..count {
        let mut text = Vec::new();
        source::string(source, &mut text)?;
        all.push(text);
    }
    Ok(all)
}

/// Which forms may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forms {
    /// Those that Redis 7.0 and Valkey read: none with expiries of fields.
    Plain,
    /// All of Redis 7.4.
    All,
}

/// The type as which a hash is written.
pub fn type_of(image: &HashImage<'_>, forms: Forms) -> u8 {
    match (image.encoding(), forms) {
        (Encoding::Hashtable, Forms::All) if image.first_expiry().is_some() => HASH_METADATA,
        (Encoding::Hashtable, _) => HASH,
        (Encoding::ListpackEx, Forms::All) => HASH_LISTPACK_EX,
        (Encoding::ListpackEx | Encoding::Listpack, _) => HASH_LISTPACK,
    }
}

/// Writes a hash as a type that [`type_of`] gives.
pub fn write(sink: &mut Sink, image: &HashImage<'_>, kind: u8) {
    let first = image.first_expiry().map_or(0, |at| at.0);
    match kind {
        HASH_LISTPACK | HASH_LISTPACK_EX => {
            let mut builder = Builder::default();
            let mut push = |(name, value, expiry): ImageField<'_>| {
                builder.push(name);
                builder.push(&value.text());
                if kind == HASH_LISTPACK_EX {
                    builder.push_integer(expiry.map_or(0, |at| at.0));
                }
            };
            if kind == HASH_LISTPACK_EX && !image.is_by_expiry() {
                let mut fields: Vec<ImageField<'_>> = image.fields().collect();
                fields.sort_by_key(|(_, _, expiry)| expiry.map_or(i64::MAX, |at| at.0));
                fields.into_iter().for_each(push);
            } else {
                image.fields().for_each(&mut push);
            }
            if kind == HASH_LISTPACK_EX {
                sink.bytes.extend_from_slice(&first.to_le_bytes());
            }
            sink.string(&builder.finish());
        }
        _ => {
            if kind == HASH_METADATA {
                sink.bytes.extend_from_slice(&first.to_le_bytes());
            }
            sink.length(image.len() as u64);
            for (name, value, expiry) in image.fields() {
                if kind == HASH_METADATA {
                    sink.length(expiry.map_or(0, |at| u64::try_from(at.0 - first + 1).unwrap_or_default()));
                }
                sink.string(name);
                sink.string(&value.text());
            }
        }
    }
}
