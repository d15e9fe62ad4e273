//! The format of arguments and results: serde's values as bytes.
//!
//! Both ends are the same program, so the format has neither names nor versions, and is made for
//! speed: a number has a fixed length (little-endian), a text, a sequence and a map are their
//! length (8 bytes) and their items, an `Option` is a byte and the value, a variant is its number
//! (4 bytes) and its content. To write a number is a comparison and a store. A sequence whose
//! length is not known in advance has [`UNKNOWN`] as its length, a 1 before each item and a 0 at
//! its end.
//!
//! A type that has to see the format to be read (`serde(untagged)`, `serde_json::Value`) cannot be.

use core::fmt;
use std::io;

use serde::de::{self, DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor};
use serde::ser::{self, Serialize};

use super::body::{Full, Output};

/// The length of a sequence whose length follows from its items.
const UNKNOWN: u64 = u64::MAX;

/// Why a value was not written or read.
#[derive(Debug)]
pub(crate) enum Error {
    /// The bytes end within the value.
    End,
    /// The bytes are no value of this type.
    Invalid(&'static str),
    /// Reported by the value's own code.
    Custom(Box<str>),
    /// There is no memory: the output has the error.
    Full,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the bytes end within a value"),
            Self::Invalid(what) => write!(f, "the bytes are not {what}"),
            Self::Custom(text) => f.write_str(text),
            Self::Full => f.write_str("there is no memory for the value"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Full> for Error {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// Why a value was not serialised.
#[derive(Debug)]
pub(crate) enum EncodeError {
    Format(Error),
    /// There is no memory for it.
    Io(io::Error),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string().into())
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string().into())
    }
}

type Result<T, E = Error> = core::result::Result<T, E>;

/// Writes values.
pub(super) struct Serializer<'a>(pub(super) &'a mut Output);

/// Writes the items of a sequence, a map, a struct or a tuple.
pub(super) struct Items<'a> {
    output: &'a mut Output,
    /// Whether each item is announced, since the length was not known.
    announced: bool,
}

impl<'a> Serializer<'a> {
    fn items(self, len: Option<usize>) -> Result<Items<'a>> {
        let announced = len.is_none();
        self.0.put(len.map_or(UNKNOWN, |len| len as u64).to_le_bytes())?;
        Ok(Items { output: self.0, announced })
    }

    fn fields(self) -> Items<'a> {
        Items { output: self.0, announced: false }
    }
}

macro_rules! number {
    ($($method:ident: $kind:ty),*) => {
        $(#[inline]
        fn $method(self, value: $kind) -> Result<()> {
            Ok(self.0.put(value.to_le_bytes())?)
        })*
    };
}

impl<'a> ser::Serializer for Serializer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Items<'a>;

    number!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_u64: u64, serialize_u128: u128, serialize_f32: f32, serialize_f64: f64
    );

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<()> {
        Ok(self.0.put([u8::from(value)])?)
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result<()> {
        self.serialize_u32(value.into())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<()> {
        self.serialize_bytes(value.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        self.0.put((value.len() as u64).to_le_bytes())?;
        Ok(self.0.extend(value)?)
    }

    #[inline]
    fn serialize_none(self) -> Result<()> {
        Ok(self.0.put([0])?)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        self.0.put([1])?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, variant: u32, _: &'static str) -> Result<()> {
        self.serialize_u32(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<()> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        value: &T,
    ) -> Result<()> {
        self.0.put(variant.to_le_bytes())?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Items<'a>> {
        self.items(len)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Items<'a>> {
        Ok(self.fields())
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>> {
        Ok(self.fields())
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Items<'a>> {
        self.0.put(variant.to_le_bytes())?;
        Ok(self.fields())
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Items<'a>> {
        self.items(len)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Items<'a>> {
        Ok(self.fields())
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Items<'a>> {
        self.0.put(variant.to_le_bytes())?;
        Ok(self.fields())
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }
}

impl Items<'_> {
    #[inline]
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        if self.announced {
            self.output.put([1])?;
        }
        value.serialize(Serializer(&mut *self.output))
    }

    #[inline]
    fn finish(self) -> Result<()> {
        if self.announced { Ok(self.output.put([0])?) } else { Ok(()) }
    }
}

macro_rules! items {
    ($($kind:ident $method:ident($($name:ty)?)),* $(,)?) => {
        $(impl ser::$kind for Items<'_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Result<()> {
                self.item(value)
            }

            #[inline]
            fn end(self) -> Result<()> {
                self.finish()
            }
        })*
    };
}

items!(
    SerializeSeq serialize_element(),
    SerializeTuple serialize_element(),
    SerializeTupleStruct serialize_field(),
    SerializeTupleVariant serialize_field(),
    SerializeStruct serialize_field(&'static str),
    SerializeStructVariant serialize_field(&'static str),
);

impl ser::SerializeMap for Items<'_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.item(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        value.serialize(Serializer(&mut *self.output))
    }

    #[inline]
    fn end(self) -> Result<()> {
        self.finish()
    }
}

/// Reads values from the front of bytes.
pub(super) struct Deserializer<'a, 'de>(pub(super) &'a mut &'de [u8]);

impl<'de> Deserializer<'_, 'de> {
    #[inline]
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Error::End)?;
        *self.0 = rest;
        Ok(*first)
    }

    #[inline]
    fn slice(&mut self) -> Result<&'de [u8]> {
        let length = usize::try_from(u64::from_le_bytes(self.take()?));
        let length = length.map_err(|_| Error::End)?;
        let (first, rest) = self.0.split_at_checked(length).ok_or(Error::End)?;
        *self.0 = rest;
        Ok(first)
    }

    fn text(&mut self) -> Result<&'de str> {
        core::str::from_utf8(self.slice()?).map_err(|_| Error::Invalid("a text"))
    }

    #[inline]
    fn flag(&mut self) -> Result<bool> {
        match self.take()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Error::Invalid("a truth value")),
        }
    }

    fn number(&mut self) -> Result<u32> {
        self.take().map(u32::from_le_bytes)
    }

    #[inline]
    fn length(&mut self) -> Result<Left> {
        Ok(match u64::from_le_bytes(self.take()?) {
            UNKNOWN => Left::Announced,
            length => Left::Items(length),
        })
    }
}

/// The items that are left of a sequence.
enum Left {
    Items(u64),
    /// A byte before each announces it.
    Announced,
}

/// Reads the items of a sequence, a map, a struct or a tuple.
struct Reading<'a, 'b, 'de> {
    from: &'a mut Deserializer<'b, 'de>,
    left: Left,
}

impl Reading<'_, '_, '_> {
    /// Whether there is another item.
    #[inline]
    fn step(&mut self) -> Result<bool> {
        match &mut self.left {
            Left::Items(0) => Ok(false),
            Left::Items(left) => {
                *left -= 1;
                Ok(true)
            }
            Left::Announced => self.from.flag(),
        }
    }

    /// The number of items, as far as it can be believed: an item may have no bytes, but many of
    /// them are no reason to allocate.
    #[inline]
    fn hint(&self) -> Option<usize> {
        match self.left {
            Left::Items(left) => {
                Some(usize::try_from(left).unwrap_or(usize::MAX).min(self.from.0.len().max(1)))
            }
            Left::Announced => None,
        }
    }
}

impl<'de> de::SeqAccess<'de> for Reading<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.step()? {
            return Ok(None);
        }
        seed.deserialize(Deserializer(&mut *self.from.0)).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> de::MapAccess<'de> for Reading<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.step()? {
            return Ok(None);
        }
        seed.deserialize(Deserializer(&mut *self.from.0)).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(Deserializer(&mut *self.from.0))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

macro_rules! read_number {
    ($($method:ident $visit:ident: $kind:ty),*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
            visitor.$visit(<$kind>::from_le_bytes(self.take()?))
        })*
    };
}

impl<'de> de::Deserializer<'de> for Deserializer<'_, 'de> {
    type Error = Error;

    read_number!(
        deserialize_i8 visit_i8: i8, deserialize_i16 visit_i16: i16,
        deserialize_i32 visit_i32: i32, deserialize_i64 visit_i64: i64,
        deserialize_i128 visit_i128: i128, deserialize_u8 visit_u8: u8,
        deserialize_u16 visit_u16: u16, deserialize_u32 visit_u32: u32,
        deserialize_u64 visit_u64: u64, deserialize_u128 visit_u128: u128,
        deserialize_f32 visit_f32: f32, deserialize_f64 visit_f64: f64
    );

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(Error::Invalid("of a type that describes itself, which this one needs"))
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        visitor.visit_bool(self.flag()?)
    }

    fn deserialize_char<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        let number = u32::from_le_bytes(self.take()?);
        visitor.visit_char(char::from_u32(number).ok_or(Error::Invalid("a character"))?)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        visitor.visit_borrowed_str(self.text()?)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        visitor.visit_borrowed_bytes(self.slice()?)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        if self.flag()? { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        let left = self.length()?;
        visitor.visit_seq(Reading { from: &mut self, left })
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(Reading { from: &mut self, left: Left::Items(len as u64) })
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        let left = self.length()?;
        visitor.visit_map(Reading { from: &mut self, left })
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_enum(self)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_any(visitor)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }
}

impl<'de> EnumAccess<'de> for Deserializer<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    #[inline]
    fn variant_seed<V: DeserializeSeed<'de>>(mut self, seed: V) -> Result<(V::Value, Self)> {
        let number: de::value::U32Deserializer<Error> = self.number()?.into_deserializer();
        Ok((seed.deserialize(number)?, self))
    }
}

impl<'de> VariantAccess<'de> for Deserializer<'_, 'de> {
    type Error = Error;

    #[inline]
    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        de::Deserializer::deserialize_tuple(self, len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        de::Deserializer::deserialize_tuple(self, fields.len(), visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Serialize};

    use super::*;

    fn written<T: Serialize>(value: &T) -> Vec<u8> {
        let mut output = Output::default();
        value.serialize(Serializer(&mut output)).unwrap();
        output.finish().unwrap().open().unwrap().into_vec()
    }

    fn read<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<(T, usize)> {
        let value = T::deserialize(Deserializer(&mut bytes))?;
        Ok((value, bytes.len()))
    }

    fn comes_back<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: T) {
        let mut bytes = written(&value);
        let length = bytes.len();
        bytes.extend(b"rest");
        assert_eq!(read::<T>(&bytes).unwrap(), (value, 4));
        // Every part of it is an error, or a shorter value.
        for end in 0..length.min(64) {
            let _ = read::<T>(&bytes[..end]);
        }
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        New(u8),
        Tuple(i16, String),
        Struct { a: Option<Box<Shape>>, b: Vec<(char, f64)> },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Marker;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Pair(u128, i128);

    /// A sequence whose length is not known when it begins.
    struct Unknown(u32);

    impl Serialize for Unknown {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq((0..self.0).filter(|n| n % 2 == 0))
        }
    }

    #[test]
    fn values_of_all_kinds_come_back() {
        comes_back((1_u8, -2_i8, 3_u16, -4_i16, 5_u32, -6_i32, u64::MAX, i64::MIN));
        comes_back((Pair(u128::MAX, i128::MIN), 1.5_f32, f64::MIN_POSITIVE, true, false, 'Ω'));
        comes_back((Marker, (), [(); 3], [1_u16; 5], String::from("text"), String::new()));
        comes_back(vec![Some(vec![1_u64, 2]), None, Some(vec![])]);
        comes_back(BTreeMap::from([(1, "one".to_owned()), (2, "two".to_owned())]));
        comes_back(HashMap::from([(Some('a'), vec![(); 3])]));
        comes_back(std::time::Duration::new(3, 4));
        comes_back(Ok::<u8, String>(3));
        comes_back([
            Shape::Unit,
            Shape::New(1),
            Shape::Tuple(-1, "x".into()),
            Shape::Struct { a: Some(Box::new(Shape::New(2))), b: vec![('y', 0.5)] },
        ]);
        let bytes = written(&Unknown(9));
        assert_eq!(read::<Vec<u32>>(&bytes).unwrap(), (vec![0, 2, 4, 6, 8], 0));
        // A number takes its own size, and nothing is written for a field's name.
        assert_eq!(written(&(7_u64, 1_u8)).len(), 9);
    }

    #[test]
    fn bytes_that_are_no_value_are_errors() {
        assert!(matches!(read::<u64>(&[1; 7]), Err(Error::End)));
        assert!(matches!(read::<bool>(&[2]), Err(Error::Invalid(_))));
        assert!(matches!(read::<char>(&u32::MAX.to_le_bytes()), Err(Error::Invalid(_))));
        assert!(matches!(read::<String>(&[1, 0, 0, 0, 0, 0, 0, 0, 0xff]), Err(Error::Invalid(_))));
        // A length that is not true: nothing is allocated for it.
        assert!(read::<Vec<u64>>(&(u64::MAX - 1).to_le_bytes()).is_err());
        assert!(read::<String>(&(u64::MAX - 1).to_le_bytes()).is_err());
        assert!(read::<Shape>(&9_u32.to_le_bytes()).is_err());
        assert!(read::<serde_json::Value>(&[0; 16]).is_err());
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        let leaf = prop_oneof![
            Just(Shape::Unit),
            any::<u8>().prop_map(Shape::New),
            any::<(i16, String)>().prop_map(|(n, text)| Shape::Tuple(n, text)),
        ];
        leaf.prop_recursive(4, 16, 2, |inner| {
            let pairs = prop::collection::vec((any::<char>(), -1e9..1e9), 0..4);
            (prop::option::of(inner.prop_map(Box::new)), pairs)
                .prop_map(|(a, b)| Shape::Struct { a, b })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_value_comes_back(values in prop::collection::vec(shapes(), 0..8)) {
            comes_back(values);
        }

        #[test]
        fn any_bytes_are_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read::<Vec<Shape>>(&bytes);
            let _ = read::<(String, Option<Pair>, BTreeMap<u8, String>)>(&bytes);
        }
    }
}
