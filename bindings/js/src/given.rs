//! What calls are given besides single values.

use js_sys::{Array, Object, Reflect};
use wasm_bindgen::JsValue;

use crate::Result;

/// An object of the options that there are; `None` when there are none.
pub(crate) fn options<const N: usize>(given: [(&str, Option<JsValue>); N]) -> Result<Option<Object>> {
    let mut options = None;
    for (name, value) in given {
        if let Some(value) = value {
            Reflect::set(options.get_or_insert_with(Object::new), &name.into(), &value)?;
        }
    }
    Ok(options)
}

/// An array of these values.
pub(crate) fn array(values: impl IntoIterator<Item: Into<JsValue>>) -> Array {
    values.into_iter().map(Into::into).collect()
}
