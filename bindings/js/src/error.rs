//! What a call throws.

use std::fmt;

use js_sys::Reflect;
use wasm_bindgen::JsValue;

use crate::Code;

/// What every call answers.
pub type Result<T> = std::result::Result<T, Error>;

/// What JavaScript threw: mostly an error of coheap, which has a code and numbers.
#[derive(Clone)]
pub struct Error(JsValue);

impl Error {
    /// What is wrong; `None` for what is no error of coheap's, such as the end of the stack.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        Code::from_name(&self.property("code")?.as_string()?)
    }

    /// A number or text that belongs to the error, as `errors.json` names it.
    #[must_use]
    pub fn detail(&self, name: &str) -> Option<JsValue> {
        let detail = Reflect::get(&self.property("details")?, &JsValue::from_str(name)).ok()?;
        (!detail.is_undefined()).then_some(detail)
    }

    /// The sentence that says what to do.
    #[must_use]
    pub fn message(&self) -> String {
        self.property("message").and_then(|message| message.as_string()).unwrap_or_else(|| format!("{:?}", self.0))
    }

    /// What was thrown.
    #[must_use]
    pub fn as_js(&self) -> &JsValue {
        &self.0
    }

    fn property(&self, name: &str) -> Option<JsValue> {
        Reflect::get(&self.0, &JsValue::from_str(name)).ok()
    }
}

impl From<JsValue> for Error {
    fn from(thrown: JsValue) -> Self {
        Self(thrown)
    }
}

impl From<Error> for JsValue {
    fn from(error: Error) -> Self {
        error.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Error({:?}: {})", self.code(), self.message())
    }
}

impl std::error::Error for Error {}
