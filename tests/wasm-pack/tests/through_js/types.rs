//! What an object is.

use coheap::js::{
    BlockingCell, BlockingPipe, Code, SharedBytes, SharedCell, SharedFields, SharedList, SharedMap, SharedPipe,
    SharedResource,
};
use js_sys::{Array, JSON, Map};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

use crate::common::heap;

#[wasm_bindgen_test]
async fn js_copy_is_what_it_was_made_of() {
    let heap = heap().await;
    let data = JSON::parse(r#"["a", ["b"], {"tags": ["c", "d"]}]"#).expect("plain data");
    let list: SharedList = heap.copy_of(&data).expect("room").dyn_into().expect("a list of an array");
    assert_eq!((list.length().expect("a length"), list.at(0.0).expect("a value")), (3.0, "a".into()));
    let inner: SharedList = list.at(1.0).expect("a value").dyn_into().expect("a list in it");
    assert_eq!(inner.pop().expect("a value"), "b");
    let map: SharedMap = list.at(2.0).expect("a value").dyn_into().expect("a map in it");
    let tags: SharedList = map.get("tags").expect("a value").dyn_into().expect("a list in that");
    assert_eq!(tags.at(-1.0).expect("a value"), "d");
    let entries = Map::new();
    entries.set(&1.into(), &"one".into());
    let map: SharedMap = heap.copy_of(&entries).expect("room").dyn_into().expect("a map of a Map");
    assert_eq!(map.get(1).expect("a value"), "one");
    let itself = Array::new();
    itself.push(&itself);
    assert_eq!(heap.copy_of(&itself).expect_err("without end").code(), Some(Code::UnsupportedValue));
    assert_eq!(heap.copy_of(&7.into()).expect_err("a number").code(), Some(Code::InvalidArgument));
}

#[wasm_bindgen_test]
async fn js_object_becomes_its_type_and_no_other() {
    /// Whether it is a cell, bytes, fields, a map, a list, a pipe, a resource at all, a cell or a pipe that blocks.
    fn is(value: &JsValue) -> [bool; 9] {
        [
            value.has_type::<SharedCell>(),
            value.has_type::<SharedBytes>(),
            value.has_type::<SharedFields>(),
            value.has_type::<SharedMap>(),
            value.has_type::<SharedList>(),
            value.has_type::<SharedPipe>(),
            value.has_type::<SharedResource>(),
            value.has_type::<BlockingCell>(),
            value.has_type::<BlockingPipe>(),
        ]
    }
    let heap = heap().await;
    let objects: [SharedResource; 6] = [
        heap.cell_holding(Some("cell"), "held").expect("room").into(),
        heap.new_bytes(8.0).expect("room").into(),
        heap.new_fields().expect("room").into(),
        heap.new_map().expect("room").into(),
        heap.new_list().expect("room").into(),
        heap.pipe_with_capacity(None, 4096.0).expect("room").into(),
    ];
    assert_eq!(heap.cell("cell").expect("a cell").get().expect("a value"), "held");
    for (at, object) in objects.iter().enumerate() {
        let mut expected = [false; 9];
        (expected[at], expected[6]) = (true, true);
        let handle = object.handle().expect("a handle");
        assert_eq!(is(&heap.open(&handle).expect("it lives")), expected, "{at}");
        assert_eq!(is(&handle), [false; 9], "plain data");
    }
    assert_eq!(objects[1].unchecked_ref::<SharedBytes>().length().expect("a length"), 8.0);
    assert_eq!(objects[5].unchecked_ref::<SharedPipe>().capacity(), 4096.0);
    for value in [JsValue::NULL, JsValue::UNDEFINED, 7.into(), "text".into(), Array::new().into(), Map::new().into()] {
        assert_eq!(is(&value), [false; 9], "{value:?}");
    }
    let name = objects[0].handle().expect("a handle").heap();
    assert!(!name.is_empty() && objects.iter().all(|object| object.handle().expect("a handle").heap() == name));
    console_log!("cases js_object_becomes_its_type_and_no_other {}", objects.len() + 6);
}
