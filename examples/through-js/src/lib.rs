//! Looks at the headers of requests that JavaScript put into the heap, and counts in the map `answers` what it answers.

use coheap::js::{Code, Heap, Result, SharedFields, SharedMap};
use wasm_bindgen::prelude::*;

/// Answers every request in the map `requests` that nobody else takes. How many those were.
#[wasm_bindgen]
pub fn answer_requests(heap: &Heap) -> std::result::Result<u32, JsValue> {
    let requests = heap.map("requests")?;
    let answers = heap.map("answers")?;
    let next = heap.cell("next")?;
    let mut taken = 0;
    loop {
        let request = requests.get(next.add(1.0)? - 1.0)?;
        if request.is_undefined() {
            return Ok(taken);
        }
        answer(&request.unchecked_into(), &answers)?;
        taken += 1;
    }
}

fn answer(request: &SharedFields, answers: &SharedMap) -> Result<()> {
    let language = request.get("Accept-Language")?.unwrap_or_default();
    let answer = if language.starts_with("de") { "Hallo" } else { "Hello" };
    match request.append("X-Answer", answer) {
        // Others only read it.
        Err(error) if error.code() == Some(Code::Immutable) => answers.add("refused", 1.0).map(drop),
        done => done.and_then(|()| answers.add(answer, 1.0).map(drop)),
    }
}
