//! HTTP fields.

use wasm_bindgen::prelude::*;

use crate::{Result, SharedResource};

#[wasm_bindgen]
extern "C" {
    /// HTTP fields that every agent reads and writes: like `Headers`, but order and casing stay.
    #[wasm_bindgen(extends = SharedResource)]
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

    /// Whether there is a line of this name.
    ///
    /// # Errors
    /// As [`SharedFields::get`].
    #[wasm_bindgen(method, catch)]
    pub fn has(this: &SharedFields, name: &str) -> Result<bool>;

    /// Gives a name this value in place of those it has, where the first of them stood.
    ///
    /// # Errors
    /// [`Code::InvalidField`](crate::Code::InvalidField), [`Code::FieldsTooLarge`](crate::Code::FieldsTooLarge),
    /// [`Code::Immutable`](crate::Code::Immutable), [`Code::OutOfMemory`](crate::Code::OutOfMemory): nothing was changed.
    #[wasm_bindgen(method, catch)]
    pub fn set(this: &SharedFields, name: &str, value: &str) -> Result<()>;

    /// Adds a line behind those that there are.
    ///
    /// # Errors
    /// As [`SharedFields::set`].
    #[wasm_bindgen(method, catch)]
    pub fn append(this: &SharedFields, name: &str, value: &str) -> Result<()>;

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
}
