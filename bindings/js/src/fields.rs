//! HTTP fields.

use js_sys::{Iterator, Object, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::given::array;
use crate::resource::has;
use crate::{Result, SharedResource};

#[wasm_bindgen]
extern "C" {
    /// HTTP fields that every agent reads and writes: like `Headers`, but order and casing stay.
    #[wasm_bindgen(extends = SharedResource, is_type_of = |value| has(value, "toHeaders"))]
    #[derive(Clone, Debug)]
    pub type SharedFields;

    /// The values of a name, joined by `", "`; `None` when there are none, or it is no name.
    ///
    /// # Errors
    /// [`Code::StaleHandle`](crate::Code::StaleHandle), [`Code::Disposed`](crate::Code::Disposed),
    /// [`Code::Detached`](crate::Code::Detached), as of every call.
    #[wasm_bindgen(method, catch)]
    pub fn get(this: &SharedFields, name: &str) -> Result<Option<String>>;

    /// Each value of a name, in order.
    ///
    /// # Errors
    /// As [`SharedFields::get`].
    #[wasm_bindgen(method, js_name = getAll, catch)]
    pub fn get_all(this: &SharedFields, name: &str) -> Result<Vec<String>>;

    #[wasm_bindgen(method, js_name = getBytes, catch)]
    fn arrays_of(this: &SharedFields, name: &str) -> Result<Vec<Uint8Array>>;
    #[wasm_bindgen(method, js_name = set, catch)]
    fn set_value(this: &SharedFields, name: &str, value: &JsValue) -> Result<()>;
    #[wasm_bindgen(method, js_name = append, catch)]
    fn append_value(this: &SharedFields, name: &str, value: &JsValue) -> Result<()>;

    /// Whether there is a line of this name.
    ///
    /// # Errors
    /// As [`SharedFields::get`].
    #[wasm_bindgen(method, catch)]
    pub fn has(this: &SharedFields, name: &str) -> Result<bool>;

    /// Removes every line of this name.
    ///
    /// # Errors
    /// As [`SharedFields::set`].
    #[wasm_bindgen(method, catch)]
    pub fn delete(this: &SharedFields, name: &str) -> Result<()>;

    /// From here on every change, by any agent, is refused.
    ///
    /// # Errors
    /// As [`SharedFields::get`].
    #[wasm_bindgen(method, catch)]
    pub fn freeze(this: &SharedFields) -> Result<SharedFields>;

    /// Whether the fields are frozen.
    ///
    /// # Errors
    /// As [`SharedFields::get`].
    #[wasm_bindgen(method, getter, catch)]
    pub fn immutable(this: &SharedFields) -> Result<bool>;

    /// New fields of the same lines, which can be changed whether these can or not.
    ///
    /// # Errors
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory).
    #[wasm_bindgen(method, js_name = clone, catch)]
    pub fn duplicate(this: &SharedFields) -> Result<SharedFields>;

    /// Pairs of a name, with its casing, and a value, as they were at one moment, in order. O(size).
    ///
    /// # Errors
    /// As [`SharedFields::get`].
    #[wasm_bindgen(method, catch)]
    pub fn entries(this: &SharedFields) -> Result<Iterator>;

    /// The name of each line, as [`SharedFields::entries`] has them.
    ///
    /// # Errors
    /// As [`SharedFields::get`].
    #[wasm_bindgen(method, catch)]
    pub fn keys(this: &SharedFields) -> Result<Iterator>;

    /// The value of each line, as [`SharedFields::entries`] has them.
    ///
    /// # Errors
    /// As [`SharedFields::get`].
    #[wasm_bindgen(method, catch)]
    pub fn values(this: &SharedFields) -> Result<Iterator>;

    /// A `Headers` of the same lines, which sorts and lower-cases the names. O(size).
    ///
    /// # Errors
    /// As [`SharedFields::get`].
    #[wasm_bindgen(method, js_name = toHeaders, catch)]
    pub fn to_headers(this: &SharedFields) -> Result<Object>;
}

impl SharedFields {
    /// Each value of a name as bytes, in order.
    ///
    /// # Errors
    /// As [`SharedFields::get`].
    pub fn get_bytes(&self, name: &str) -> Result<Vec<Vec<u8>>> {
        Ok(self.arrays_of(name)?.iter().map(Uint8Array::to_vec).collect())
    }

    /// Gives a name this value in place of those it has, where the first of them stood: text of characters up to U+00FF, or
    /// a `Uint8Array`.
    ///
    /// # Errors
    /// [`Code::InvalidField`](crate::Code::InvalidField), [`Code::FieldsTooLarge`](crate::Code::FieldsTooLarge),
    /// [`Code::Immutable`](crate::Code::Immutable), [`Code::OutOfMemory`](crate::Code::OutOfMemory),
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) for what is no value: nothing was changed.
    pub fn set(&self, name: &str, value: impl Into<JsValue>) -> Result<()> {
        self.set_value(name, &value.into())
    }

    /// As [`SharedFields::set`] of several values, as one step; of none: as [`SharedFields::delete`].
    ///
    /// # Errors
    /// As [`SharedFields::set`].
    pub fn set_all(&self, name: &str, values: impl IntoIterator<Item: Into<JsValue>>) -> Result<()> {
        self.set_value(name, &array(values))
    }

    /// Adds a line behind those that there are.
    ///
    /// # Errors
    /// As [`SharedFields::set`].
    pub fn append(&self, name: &str, value: impl Into<JsValue>) -> Result<()> {
        self.append_value(name, &value.into())
    }
}
