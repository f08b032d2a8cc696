//! A heap and other agents of it, in Node and in a page alike.

use coheap::js::{Heap, Result};
use js_sys::{Function, Promise, Uint8Array};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    type Platform;
    #[wasm_bindgen(method)]
    fn create(this: &Platform) -> Promise;
    #[wasm_bindgen(method)]
    fn start(this: &Platform, heap: &Heap) -> Promise;

    /// Another agent, in a worker.
    pub type Agent;
    #[wasm_bindgen(method, js_name = run)]
    fn promise(this: &Agent, body: &str, value: &JsValue) -> Promise;
    /// The worker, to a heap.
    #[wasm_bindgen(method, getter)]
    pub fn thread(this: &Agent) -> JsValue;
    #[wasm_bindgen(method)]
    pub fn stop(this: &Agent);
}

fn platform() -> Platform {
    let wasm: &[u8] = include_bytes!("../../../../js-host/dist/heap.wasm");
    let function: Function = js_sys::eval(include_str!("agents.js")).expect("a function").unchecked_into();
    let answer = function.call3(
        &JsValue::UNDEFINED,
        &include_str!("../../../../js-host/dist/index.js").into(),
        &include_str!("../../../../js-host/dist/worker.js").into(),
        &Uint8Array::from(wasm),
    );
    answer.expect("the platform").unchecked_into()
}

/// A new heap, as the agent of this test.
pub async fn heap() -> Heap {
    JsFuture::from(platform().create()).await.expect("a heap").unchecked_into()
}

/// Another agent of it, which may block.
pub async fn agent(heap: &Heap) -> Agent {
    JsFuture::from(platform().start(heap)).await.expect("an agent").unchecked_into()
}

impl Agent {
    /// Runs a function of (heap, value) there, from now on; what it throws is an error here.
    pub fn run<V: Into<JsValue>>(&self, body: &str, value: V) -> impl Future<Output = Result<JsValue>> + use<V> {
        let promise = self.promise(body, &value.into());
        async { Ok(JsFuture::from(promise).await?) }
    }
}
