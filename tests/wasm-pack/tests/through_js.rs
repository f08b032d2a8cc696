//! The objects of the npm package in a wasm-bindgen program, with agents in workers, in Node and in Chromium.
#![cfg(target_arch = "wasm32")]

mod common;
#[path = "through_js/death.rs"]
mod death;
#[path = "through_js/lease.rs"]
mod lease;
#[path = "through_js/list.rs"]
mod list;
#[path = "through_js/many.rs"]
mod many;
#[path = "through_js/types.rs"]
mod types;
#[path = "through_js/wait.rs"]
mod wait;

use coheap::js::{Code, Error, Found, Handle, Outcome, SharedBytes, SharedCell, SharedMap, Wish};
use common::{agent, heap};
use js_sys::{BigInt, JsString, Object, Reflect, SharedArrayBuffer, Uint8Array, WebAssembly};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

fn number(object: &JsValue, name: &str) -> f64 {
    Reflect::get(object, &name.into()).ok().and_then(|value| value.as_f64()).unwrap_or(f64::NAN)
}

#[wasm_bindgen_test]
async fn js_memory_of_the_heap_is_shared_and_the_programs_own_is_not() {
    let heap = heap().await;
    let memory = heap.token().expect("a token").memory();
    assert!(memory.buffer().is_instance_of::<SharedArrayBuffer>());
    let own: WebAssembly::Memory = wasm_bindgen::memory().unchecked_into();
    assert!(!own.buffer().is_instance_of::<SharedArrayBuffer>());
    let worker = agent(&heap).await;
    // The same bytes, not a copy of them.
    let there = worker.run("(heap) => heap.token().memory.buffer instanceof SharedArrayBuffer", 0).await;
    assert_eq!(there.expect("an answer"), JsValue::TRUE);
    worker.stop();
}

#[wasm_bindgen_test]
async fn js_additions_of_three_agents_are_all_counted() {
    const TIMES: u32 = 5_000;
    const COUNT: &str = "(heap, times) => {
        const [words, hits] = [heap.map('words'), heap.cell('hits')];
        hits.waitSync(0, 10_000); // begins with the others
        for (let i = 0; i < times; i++) words.add(`word ${i % 10}`, 1);
    }";
    let heap = heap().await;
    let (first, second) = (agent(&heap).await, agent(&heap).await);
    let counting = (first.run(COUNT, TIMES), second.run(COUNT, TIMES));
    let words = heap.map("words").expect("a map");
    heap.cell("hits").expect("a cell").set(1).expect("set");
    for step in 0..TIMES {
        words.add(format!("word {}", step % 10), 1.0).expect("a sum");
    }
    counting.0.await.expect("the first one's");
    counting.1.await.expect("the second one's");
    for key in 0..10 {
        assert_eq!(words.get(format!("word {key}")).expect("a value"), JsValue::from(3 * TIMES / 10));
    }
    assert_eq!(words.size().expect("a size"), 10.0);
    assert_eq!(number(&heap.stats().expect("figures"), "agents"), 3.0);
    first.stop();
    second.stop();
    console_log!("cases js_additions_of_three_agents_are_all_counted {}", 3 * TIMES);
}

#[wasm_bindgen_test]
async fn js_values_of_every_type_go_to_another_agent_and_back() {
    let heap = heap().await;
    let worker = agent(&heap).await;
    let (cell, map) = (heap.cell("cell").expect("a cell"), heap.map("map").expect("a map"));
    let bytes = Uint8Array::from(&[1u8, 2, 255][..]);
    let values: [JsValue; 8] = [
        JsValue::UNDEFINED,
        JsValue::NULL,
        true.into(),
        (-0.5).into(),
        BigInt::from(1u64 << 63).into(),
        "ä€😀".into(),
        "long ".repeat(20_000).into(),
        bytes.into(),
    ];
    let object = |value: &JsValue| Uint8Array::instanceof(value);
    for value in &values {
        cell.set(value).expect("set");
        assert!(cell.compare_and_set(value, value).expect("the same by contents"));
        let copied = "(heap) => heap.map('map').set('copy', heap.cell('cell').get()) && undefined";
        worker.run(copied, 0).await.expect("a copy");
        let copy = map.get("copy").expect("a value");
        if object(value) {
            assert_eq!(Uint8Array::from(copy).to_vec(), [1, 2, 255]);
        } else {
            assert!(Object::is(&copy, value), "{copy:?}");
        }
        assert!(map.has("copy").expect("a look"));
        assert!(map.delete("copy").expect("a removal"));
    }
    // Units and not characters: what is no text stays itself.
    let lone = JsString::from_char_code1(0xD800);
    cell.set(&lone).expect("set");
    assert!(Object::is(&cell.get().expect("a value"), &lone));
    worker.stop();
    console_log!("cases js_values_of_every_type_go_to_another_agent_and_back {}", values.len());
}

#[wasm_bindgen_test]
async fn js_structures_of_every_kind_are_those_of_another_agent() {
    let heap = heap().await;
    let worker = agent(&heap).await;
    let made = "(heap) => {
        heap.bytes('bytes', 4).write(1, Uint8Array.of(7, 8));
        heap.fields('fields').append('Accept', 'text/html');
        heap.map('outer').set('inner', heap.from({ hits: 1, tags: ['a', 'b'] }));
    }";
    worker.run(made, 0).await.expect("structures");
    let bytes: SharedBytes = heap.bytes("bytes", 4.0).expect("bytes");
    assert_eq!(bytes.read(0.0, 4.0).expect("bytes"), [0, 7, 8, 0]);
    bytes.write(0.0, &[1]).expect("room");
    assert_eq!((bytes.sum(0.0, 4.0), bytes.length()).0.expect("a sum"), 16.0);
    let fields = heap.fields("fields").expect("fields");
    fields.append("accept", "text/plain").expect("room");
    assert_eq!(fields.get("ACCEPT").expect("fields").as_deref(), Some("text/html, text/plain"));
    assert_eq!(fields.get("Cookie").expect("fields"), None);
    assert_eq!(fields.get_all("accept").expect("fields").len(), 2);
    fields.freeze().expect("fields");
    assert_eq!(fields.set("a", "b").expect_err("frozen").code(), Some(Code::Immutable));
    fields.duplicate().expect("room").set("a", "b").expect("not frozen");
    let inner: SharedMap = heap.map("outer").expect("a map").get("inner").expect("a map").dyn_into().expect("a map");
    assert_eq!(inner.add("hits", 1.0).expect("a sum"), 2.0);
    assert_eq!(inner.get_or_insert("hits", 9).expect("a value"), JsValue::from(2));
    let entries: Vec<JsValue> =
        inner.entries().expect("entries").into_iter().map(|entry| entry.expect("an entry")).collect();
    assert_eq!(entries.len(), 2);
    assert_eq!(inner.to_js().expect("plain data").get(&"hits".into()), JsValue::from(2));
    let seen = worker.run("(heap) => heap.fields('fields').immutable && heap.map('outer').get('inner').get('hits')", 0);
    assert_eq!(seen.await.expect("an answer"), JsValue::from(2));
    worker.stop();
}

#[wasm_bindgen_test]
async fn js_map_that_is_moved_is_the_other_agents() {
    let heap = heap().await;
    let worker = agent(&heap).await;
    let map = heap.copy_of(&js_sys::JSON::parse(r#"{"user": "ada"}"#).expect("plain data")).expect("a map");
    let map: SharedMap = map.dyn_into().expect("a map");
    let handle: Handle = map.move_away().expect("a handle");
    assert!(map.disposed());
    assert_eq!(map.size().expect_err("moved").code(), Some(Code::Disposed));
    let user = worker.run("(heap, handle) => (globalThis.map = heap.open(handle)).get('user')", &handle).await;
    assert_eq!(user.expect("the map"), JsValue::from("ada"));
    let again: SharedMap = heap.open(&handle).expect("it lives").dyn_into().expect("a map");
    worker.run("() => globalThis.map.dispose()", 0).await.expect("to let go");
    again.dispose().expect("to let go");
    let gone = heap.open(&handle).expect_err("nobody has it");
    assert_eq!(gone.code(), Some(Code::StaleHandle));
    assert_eq!(gone.detail("index").and_then(|index| index.as_f64()), Some(f64::from(handle.index())));
    worker.stop();
}

#[wasm_bindgen_test]
async fn js_wait_ends_when_another_agent_changes_the_cell() {
    let heap = heap().await;
    let worker = agent(&heap).await;
    let (question, answer): (SharedCell, _) =
        (heap.cell("question").expect("a cell"), heap.cell("answer").expect("a cell"));
    let working = worker.run(
        "(heap) => { heap.cell('question').waitSync(0, 10_000); heap.cell('answer').set(heap.cell('question').get() * 2); }",
        0,
    );
    question.set(21).expect("set");
    assert_eq!(answer.wait(0, 10_000.0).await.expect("a change"), Outcome::Changed);
    working.await.expect("an end");
    assert_eq!(answer.get().expect("a value"), JsValue::from(42));
    assert_eq!(answer.wait(42, 10.0).await.expect("no change"), Outcome::TimedOut);
    worker.stop();
}

#[wasm_bindgen_test]
async fn js_pipe_brings_every_line_of_another_agent_and_takes_answers() {
    const LINES: u32 = 2_000;
    let heap = heap().await;
    let worker = agent(&heap).await;
    let (lines, sums) = (heap.pipe("lines").expect("a pipe"), heap.new_pipe().expect("a pipe"));
    assert_eq!(lines.try_read(Wish::default()).expect("a pipe"), Found::Nothing);
    let working = worker.run(
        "(heap, { count, sums }) => {
            const [lines, answers] = [heap.pipe('lines'), heap.open(sums)];
            for (let i = 0; i < count; i++) lines.writeSync(`line ${i} ${'x'.repeat(i % 90)}\\n`);
            lines.close();
            return new TextDecoder().decode(answers.readSync());
        }",
        {
            let given = Object::new();
            Reflect::set(&given, &"count".into(), &LINES.into()).expect("a property");
            Reflect::set(&given, &"sums".into(), &sums.handle().expect("a handle")).expect("a property");
            given
        },
    );
    let wish = Wish { until: Some(b"\n"), timeout: Some(10_000.0), ..Wish::default() };
    let mut count = 0;
    while let Some(tokens) = lines.read(wish).await.expect("lines") {
        for line in tokens.split_inclusive(|&byte| byte == b'\n') {
            assert!(line.starts_with(format!("line {count} ").as_bytes()) && line.ends_with(b"\n"), "{count}");
            count += 1;
        }
    }
    assert_eq!(count, LINES);
    assert_eq!(lines.try_read(Wish::default()).expect("the end"), Found::End);
    assert_eq!(lines.write(b"late", None).await.expect_err("closed").code(), Some(Code::PipeClosed));
    sums.write(format!("{count} lines").as_bytes(), None).await.expect("room");
    assert_eq!(working.await.expect("an answer"), JsValue::from("2000 lines"));
    sums.abort("enough").expect("a pipe");
    assert_eq!(sums.try_write(b"more").expect_err("aborted").code(), Some(Code::PipeAborted));
    worker.stop();
    console_log!("cases js_pipe_brings_every_line_of_another_agent_and_takes_answers {LINES}");
}

#[wasm_bindgen_test]
async fn js_errors_have_their_code_and_details() {
    let heap = heap().await;
    heap.map("map").expect("a map").set("text", "seven").expect("set");
    let detached = common::heap().await;
    detached.detach().expect("to leave");
    detached.detach().expect("again");
    let cases: [(Error, Code); 8] = [
        (heap.cell("map").expect_err("a map"), Code::WrongType),
        (heap.cell("").expect_err("empty"), Code::InvalidArgument),
        (heap.map("map").expect("a map").add("text", 1.0).expect_err("text"), Code::NotANumber),
        (heap.map("map").expect("a map").get(JsValue::NULL).expect_err("no key"), Code::InvalidArgument),
        (heap.new_cell().expect("a cell").set(Object::new()).expect_err("an object"), Code::UnsupportedValue),
        (heap.bytes("bytes", 4.0).expect("bytes").write(3.0, &[1, 2]).expect_err("too long"), Code::OutOfRange),
        (heap.new_fields().expect("fields").set("a\n", "").expect_err("no name"), Code::InvalidField),
        (detached.token().expect_err("left"), Code::Detached),
    ];
    for (error, code) in &cases {
        assert_eq!(error.code(), Some(*code), "{error}");
        assert!(error.to_string().len() > 20, "{error}");
    }
    assert_eq!(cases[0].0.detail("found").and_then(|found| found.as_string()).as_deref(), Some("map"));
    assert_eq!(cases[5].0.detail("limit").and_then(|limit| limit.as_f64()), Some(4.0));
    assert!(cases[5].0.detail("nothing").is_none());
    let other = Error::from(JsValue::from(js_sys::RangeError::new("the end of the stack")));
    assert_eq!((other.code(), other.message().as_str()), (None, "the end of the stack"));
    assert_eq!(Error::from(JsValue::from("thrown")).code(), None);
    console_log!("cases js_errors_have_their_code_and_details {}", cases.len());
}
