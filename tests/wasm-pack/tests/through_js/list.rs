//! Lists.

use coheap::js::{Code, SharedList, SharedMap};
use js_sys::{Array, BigInt, Object, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

use crate::common::{agent, heap};

fn numbers(values: &[JsValue]) -> Vec<u32> {
    values.iter().map(|value| value.as_f64().expect("a number") as u32).collect()
}

/// Where a place is, as `Array` counts.
fn place(at: i32, length: usize) -> usize {
    let at = if at < 0 { at + length as i32 } else { at };
    at.clamp(0, length as i32) as usize
}

#[wasm_bindgen_test]
async fn js_list_takes_every_step_as_an_array_does() {
    const PLACES: std::ops::Range<i32> = -5..6;
    let list: SharedList = heap().await.list("list").expect("a list");
    let mut cases = 0;
    for start in PLACES {
        for count in PLACES {
            for given in [&[][..], &[7], &[8, 9]] {
                let mut model = vec![0, 1, 2, 3];
                list.clear().expect("a list");
                assert_eq!(list.push_many(model.clone()).expect("room"), 4.0);
                let from = place(start, model.len());
                let end = from + (count.max(0) as usize).min(model.len() - from);
                let taken = list.splice(f64::from(start), f64::from(count), given.iter().copied()).expect("room");
                assert_eq!(numbers(&taken), model.splice(from..end, given.iter().copied()).collect::<Vec<_>>());
                assert_eq!(numbers(&list.slice(0.0, f64::INFINITY).expect("values")), model);
                let from = place(start, model.len());
                list.insert(f64::from(start), given.iter().copied()).expect("room");
                model.splice(from..from, given.iter().copied());
                let part = model.get(place(start, model.len())..place(count, model.len())).unwrap_or_default();
                assert_eq!(numbers(&list.slice(f64::from(start), f64::from(count)).expect("values")), part);
                let at = if start < 0 { start + model.len() as i32 } else { start };
                let expected = usize::try_from(at).ok().and_then(|at| model.get(at));
                assert_eq!(list.at(f64::from(start)).expect("a place").as_f64(), expected.copied().map(f64::from));
                assert_eq!(list.pop().expect("a list").as_f64(), model.pop().map(f64::from));
                assert_eq!(list.length().expect("a length"), model.len() as f64);
                cases += 1;
            }
        }
    }
    let rest = list.splice(1.0, f64::INFINITY, [0; 0]).expect("room");
    assert_eq!((rest.is_empty(), list.length().expect("a length")), (false, 1.0));
    console_log!("cases js_list_takes_every_step_as_an_array_does {cases}");
}

#[wasm_bindgen_test]
async fn js_list_has_every_value_that_two_agents_push() {
    const TIMES: u32 = 3_000;
    const PUSH: &str = "(heap, times) => {
        const list = heap.list('list');
        heap.cell('go').waitSync(0, 10_000); // begins with the other
        for (let i = 0; i < times; i++) list.push(i);
    }";
    let heap = heap().await;
    let worker = agent(&heap).await;
    let pushing = worker.run(PUSH, TIMES);
    let list = heap.list("list").expect("a list");
    heap.cell("go").expect("a cell").set(1).expect("set");
    for value in 0..TIMES / 2 {
        list.push(value + TIMES).expect("room");
    }
    list.push_many(TIMES + TIMES / 2..2 * TIMES).expect("room");
    pushing.await.expect("the other one's");
    let values = list.values().expect("values").into_iter().map(|value| value.expect("a value"));
    let values = numbers(&values.collect::<Vec<_>>());
    for own in [0..TIMES, TIMES..2 * TIMES] {
        assert!(values.iter().copied().filter(|value| own.contains(value)).eq(own.clone()), "in its agent's order");
    }
    assert_eq!(list.length().expect("a length"), f64::from(2 * TIMES));
    worker.stop();
    console_log!("cases js_list_has_every_value_that_two_agents_push {}", 2 * TIMES);
}

#[wasm_bindgen_test]
async fn js_list_holds_values_of_every_type() {
    let heap = heap().await;
    let worker = agent(&heap).await;
    let (list, inner) = (heap.list("list").expect("a list"), heap.new_list().expect("a list"));
    let values: [JsValue; 9] = [
        JsValue::UNDEFINED,
        JsValue::NULL,
        true.into(),
        (-0.0).into(),
        BigInt::from(1u64 << 63).into(),
        "ä€😀".into(),
        "long ".repeat(20_000).into(),
        Uint8Array::from(&[1u8, 2, 255][..]).into(),
        inner.clone().into(),
    ];
    list.push("replaced").expect("room");
    list.set(0.0, &values[0]).expect("there is one");
    list.push_many(&values[1..]).expect("room");
    inner.push_many(["a", "b"]).expect("room");
    worker.run("(heap) => heap.list('list').pushMany([...heap.list('list')])", 0).await.expect("copies");
    let entries = list.entries().expect("entries").into_iter().map(|entry| Array::from(&entry.expect("an entry")));
    for (at, entry) in entries.enumerate() {
        let (value, given) = (entry.get(1), &values[at % values.len()]);
        assert_eq!(entry.get(0).as_f64(), Some(at as f64));
        if value.is_instance_of::<Uint8Array>() {
            assert_eq!(Uint8Array::from(value).to_vec(), [1, 2, 255]);
        } else {
            assert!(Object::is(&value, given), "{at}: {value:?}"); // a structure: the one wrapper of this agent
        }
    }
    assert_eq!(list.length().expect("a length"), 18.0);
    let plain = list.to_js().expect("plain data");
    assert_eq!(Array::from(&plain.get(17)).join("+"), "a+b");
    let json = js_sys::JSON::stringify(&inner.to_json().expect("plain data")).expect("a text");
    assert_eq!(json, r#"["a","b"]"#);
    assert_eq!(list.set(18.0, 0).expect_err("no such place").code(), Some(Code::OutOfRange));
    assert_eq!(list.at(f64::NAN).expect_err("no place").code(), Some(Code::InvalidArgument));
    for refused in [list.push(Object::new()), list.push_many([JsValue::from(1), Object::new().into()])] {
        assert_eq!(refused.expect_err("no value").code(), Some(Code::UnsupportedValue));
    }
    let map: SharedMap = heap.map("map").expect("a map");
    map.set("list", list.pop().expect("the inner list")).expect("room");
    assert_eq!((list.length().expect("a length"), map.size().expect("a size")), (17.0, 1.0));
    list.clear().expect("a list");
    assert_eq!(list.pop().expect("a list"), JsValue::UNDEFINED);
    worker.stop();
    console_log!("cases js_list_holds_values_of_every_type {}", 2 * values.len());
}
