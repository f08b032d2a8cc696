//! Calls that take or answer many values.

use coheap::js::Code;
use js_sys::{Array, JSON, Map, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

use crate::common::{agent, heap};

#[wasm_bindgen_test]
async fn js_map_takes_and_answers_many_entries() {
    const COUNT: u32 = 500;
    let heap = heap().await;
    let worker = agent(&heap).await;
    let map = heap.map("map").expect("a map");
    map.set_many((0..COUNT).map(|key| (key, format!("value {key}")))).expect("room");
    let seen = worker.run("(heap) => [...heap.map('map').values()].join()", 0).await.expect("an answer");
    let all: Vec<String> = (0..COUNT).map(|key| format!("value {key}")).collect();
    assert_eq!(seen, JsValue::from(all.join(",")));
    let found = map.get_many((0..COUNT).rev().chain([COUNT])).expect("values");
    let expected = all.iter().rev().map(JsValue::from).chain([JsValue::UNDEFINED]);
    assert!(found.iter().cloned().eq(expected), "{found:?}");
    let keys = map.keys().expect("keys").into_iter().map(|key| key.expect("a key").as_f64());
    assert!(keys.eq((0..COUNT).map(|key| Some(f64::from(key)))));
    let values = map.values().expect("values").into_iter().map(|value| value.expect("a value").as_string());
    assert!(values.eq(all.into_iter().map(Some)));
    let refused = map.set_many([("whole", JsValue::from(1)), ("none", Map::new().into())]);
    assert_eq!(refused.expect_err("a Map is no value").code(), Some(Code::UnsupportedValue));
    assert!(!map.has("whole").expect("a look"), "all or nothing of what is no value");
    worker.stop();
    console_log!("cases js_map_takes_and_answers_many_entries {COUNT}");
}

#[wasm_bindgen_test]
async fn js_fields_take_and_answer_many_lines() {
    let heap = heap().await;
    let lines = JSON::parse(r#"[["Accept", "text/html"], ["X-Trace", "1"], ["accept", "text/plain"]]"#);
    let fields = heap.fields_of(lines.expect("plain data").unchecked_ref()).expect("room");
    fields.set_all("x-trace", ["7", "8"]).expect("room");
    fields.append("X-Bytes", Uint8Array::from(&[0xE9, b'a'][..])).expect("room");
    assert_eq!(fields.get_bytes("x-bytes").expect("fields"), [[0xE9, b'a']]);
    assert_eq!(fields.get("x-bytes").expect("fields").as_deref(), Some("éa"));
    let text = |text: Result<JsValue, JsValue>| text.expect("a line").as_string().expect("a text");
    let pair = |line: Result<JsValue, JsValue>| String::from(Array::from(&line.expect("a line")).join(": "));
    let entries: Vec<String> = fields.entries().expect("lines").into_iter().map(pair).collect();
    assert_eq!(entries, ["Accept: text/html", "X-Trace: 7", "X-Trace: 8", "Accept: text/plain", "X-Bytes: éa"]);
    let names = fields.keys().expect("names").into_iter().map(text);
    let lines = names.zip(fields.values().expect("values").into_iter().map(text));
    assert!(lines.map(|(name, value)| format!("{name}: {value}")).eq(entries));
    let headers = fields.to_headers().expect("headers");
    let get: js_sys::Function = Reflect::get(&headers, &"get".into()).expect("a method").unchecked_into();
    assert_eq!(get.call1(&headers, &"x-trace".into()).expect("a value"), "7, 8");
    fields.set_all("accept", [""; 0]).expect("a removal");
    assert!(!fields.has("Accept").expect("a look"));
    assert_eq!(fields.append("a", "€").expect_err("no byte").code(), Some(Code::InvalidField));
    assert_eq!(fields.set("a", 7).expect_err("a number").code(), Some(Code::InvalidArgument));
    let refused = heap.fields_of(JSON::parse(r#"[["a"]]"#).expect("plain data").unchecked_ref());
    assert_eq!(refused.expect_err("no pair").code(), Some(Code::InvalidArgument));
}
