//! Promises as futures.

use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::Result;

#[wasm_bindgen]
extern "C" {
    type AbortController;
    #[wasm_bindgen(constructor)]
    fn new() -> AbortController;
    #[wasm_bindgen(method, getter)]
    fn signal(this: &AbortController) -> JsValue;
    #[wasm_bindgen(method)]
    fn abort(this: &AbortController);
}

/// Aborts when it is dropped, with the future that has it.
struct Ending(AbortController);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a call resolves to that takes a signal among its options: it waits no longer than the future lives.
pub(crate) async fn wait(options: Option<Object>, call: impl FnOnce(&Object) -> Result<Promise>) -> Result<JsValue> {
    let ending = Ending(AbortController::new());
    let options = options.unwrap_or_else(Object::new);
    Reflect::set(&options, &"signal".into(), &ending.0.signal())?;
    Ok(JsFuture::from(call(&options)?).await?)
}
