//! Every call of the imported face, checked from inside; the test looks from JavaScript.

use std::cell::RefCell;

use coheap::imported::{Any, Bytes, Cell, Error, Map, Scalar, Str, Structure, agent};

/// Panics end in a trap; what they say goes into a cell that JavaScript reads.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if let Ok(failure) = agent().and_then(|agent| agent.cell::<Str>("failure")) {
            let _ = failure.set(&panic.to_string());
        }
    }));
}

/// Values of every type, and of every way to cross: in the word, in the transfer buffer, by a region of bytes.
fn values() -> Vec<Scalar> {
    let mut values = vec![
        Scalar::Undefined,
        Scalar::Null,
        Scalar::Bool(false),
        Scalar::Bool(true),
        Scalar::Integer(false, vec![]),
        Scalar::Integer(true, vec![1, 1 << 63]),
        Scalar::Units(vec![0xD800, 0x41]),
        // An atom of every heap.
        Scalar::Text("content-type".into()),
    ];
    values.extend([0.0, -0.0, 1.5, f64::NAN, f64::INFINITY, 9_007_199_254_740_992.0].map(Scalar::Number));
    for length in [0, 1, 5, 6, 8_191, 8_192, 8_193, 28_672, 28_673, 200_000] {
        values.push(Scalar::Text("a".repeat(length)));
        values.push(Scalar::Text("é".repeat(length)));
        values.push(Scalar::Text("€".repeat(length)));
        values.push(Scalar::Bytes((0..length).map(|byte| byte as u8).collect()));
    }
    values
}

/// Everything that goes in comes out, of cells and of maps. Answers how many values.
#[unsafe(no_mangle)]
extern "C" fn round_trips() -> u32 {
    report_panics();
    let agent = agent().expect("a seat");
    let (cell, map): (Cell<Any>, Map<Any, Any>) =
        (agent.cell("cell").expect("a cell"), agent.map("map").expect("a map"));
    let values = values();
    for (number, value) in values.iter().enumerate() {
        cell.set(value).expect("set");
        assert_eq!(&cell.get().expect("get"), value);
        assert!(cell.compare_and_set(value, &Scalar::Null).expect("the same by contents"));
        assert!(!cell.compare_and_set(&Scalar::Bool(true), value).expect("another"));
        let key = Scalar::Number(number as f64);
        map.insert(&key, value).expect("insert");
        assert_eq!(map.get(&key).expect("get").as_ref(), Some(value));
        assert_eq!(&map.get_or_insert(&key, &Scalar::Null).expect("there"), value);
        if *value != Scalar::Undefined {
            assert!(map.compare_and_set(&key, Some(value), Some(&Scalar::Null)).expect("the same by contents"));
        }
        map.insert(&key, value).expect("insert");
    }
    let entries = map.entries().expect("entries");
    assert_eq!(entries.len(), values.len());
    for ((number, value), (key, found)) in values.iter().enumerate().zip(&entries) {
        assert_eq!((key, found), (&Scalar::Number(number as f64), value));
    }
    keys(&values);
    values.len() as u32
}

/// The same values as keys of a second map, where they can be.
fn keys(values: &[Scalar]) {
    let map: Map<Any, u32> = agent().and_then(|agent| agent.new_map()).expect("a map");
    for (number, key) in values.iter().enumerate() {
        match key {
            Scalar::Number(_) | Scalar::Text(_) | Scalar::Units(_) => {
                let there = map.contains_key(key).expect("a look");
                let inserted = map.get_or_insert(key, number as u32).expect("an insertion");
                assert_eq!(inserted == number as u32, !there, "{number}");
                assert!(map.contains_key(key).expect("a look"));
                assert_eq!(map.add(key, 1).expect("a number"), inserted + 1);
                assert!(map.compare_and_set(key, Some(inserted + 1), Some(inserted)).expect("a change"));
            }
            _ => assert!(matches!(map.insert(key, 0), Err(Error::OutOfRange { .. })), "{number}"),
        }
    }
    let mut left = map.len().expect("a size");
    for (key, _) in map.entries().expect("entries") {
        assert!(map.remove(&key).expect("a removal"));
        left -= 1;
    }
    assert_eq!((left, map.is_empty()), (0, Ok(true)));
}

/// What is refused says so by its error, and nothing else happens. Answers how many refusals.
#[unsafe(no_mangle)]
extern "C" fn refusals() -> u32 {
    report_panics();
    let agent = agent().expect("a seat");
    let cell: Cell<Str> = agent.cell("text").expect("a cell");
    cell.set("seven").expect("set");
    let stale = {
        let gone: Cell<f64> = agent.new_cell().expect("a cell");
        gone.handle()
    };
    let numbers: Map<Str, u32> = agent.map("numbers").expect("a map");
    numbers.add_number("half", 0.5).expect("a sum");
    let found = [
        agent.cell::<f64>("numbers").err(),
        agent.map::<Str, Str>("text").err(),
        agent.cell::<f64>("").err(),
        agent.cell::<f64>(&"n".repeat(1_025)).err(),
        agent.remove(&"n".repeat(100_000)).err(),
        agent.open::<Cell<f64>>(stale).err(),
        agent.open::<Map<Str, f64>>(cell.handle()).err(),
        agent.cell::<f64>("text").and_then(|cell| cell.get()).err(),
        cell.add_number(1.0).err(),
        numbers.get("half").err(),
        numbers.add("half", 1).err(),
    ];
    let wrong_type = |expected, found| Some(Error::WrongType { expected, found });
    let expected = [
        wrong_type(1, 4),
        wrong_type(4, 1),
        Some(Error::out_of_range(0, 0, 1_024)),
        Some(Error::NameTooLong { length: 1_025, maximum: 1_024 }),
        Some(Error::NameTooLong { length: 100_000, maximum: 1_024 }),
        Some(Error::StaleHandle { index: stale.index, generation: stale.generation }),
        wrong_type(4, 1),
        Some(Error::UnexpectedValue { expected: 8, found: 4 }),
        Some(Error::NotANumber { found: 4 }),
        Some(Error::UnexpectedValue { expected: 8, found: 8 }),
        Some(Error::UnexpectedValue { expected: 8, found: 8 }),
    ];
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        match (found, expected) {
            // What it holds instead has a number of its own in each call.
            (Some(Error::NotANumber { .. }), Some(Error::NotANumber { .. })) => {}
            _ => assert_eq!(found, expected, "{number}"),
        }
    }
    assert_eq!(cell.get().as_deref(), Ok("seven"));
    expected.len() as u32
}

/// Adds to the map `sums`, key by key.
#[unsafe(no_mangle)]
extern "C" fn add(times: u32, keys: u32) {
    report_panics();
    let sums: Map<Str, f64> = agent().and_then(|agent| agent.map("sums")).expect("a map");
    for step in 0..times {
        sums.add(&format!("key number {}", step % keys), 1.0).expect("a sum");
        if step % 1_000 == 0 {
            // The program's memory grows meanwhile, and its buffer is another one then.
            std::mem::forget(vec![1u8; 100_000]);
        }
    }
}

thread_local! {
    static HELD: RefCell<Vec<Cell<f64>>> = const { RefCell::new(Vec::new()) };
}

/// Opens the cell of a handle, twice, or lets both go. Answers 1, or 0 when there is none.
#[unsafe(no_mangle)]
extern "C" fn hold(index: u32, generation: u32) -> u32 {
    report_panics();
    let handle = coheap::Handle { index, generation };
    let opened = [(); 2].map(|()| agent().and_then(|agent| agent.open::<Cell<f64>>(handle)));
    let opened: Result<Vec<_>, Error> = opened.into_iter().collect();
    let Ok(cells) = opened else { return 0 };
    HELD.with_borrow_mut(|held| held.extend(cells));
    1
}

/// Lets the last `count` cells go that are held.
#[unsafe(no_mangle)]
extern "C" fn let_go(count: usize) {
    HELD.with_borrow_mut(|held| held.truncate(held.len() - count));
}

/// A map in a map, which lives as long as the map has it. Answers the sum that stands in it.
#[unsafe(no_mangle)]
extern "C" fn nest() -> f64 {
    report_panics();
    let agent = agent().expect("a seat");
    let outer: Map<Str, Map<Str, f64>> = agent.map("outer").expect("a map");
    let inner = agent.new_map().expect("a map");
    outer.insert("inner", &inner).expect("room");
    drop(inner);
    let inner = outer.get("inner").expect("a map").expect("the key");
    inner.add("hits", 2.0).expect("a sum");
    assert_eq!(outer.entries().expect("entries").len(), 1);
    inner.add("hits", 3.0).expect("a sum")
}

/// Leaves, and answers the number of the error of what comes then.
#[unsafe(no_mangle)]
extern "C" fn leave() -> u32 {
    let agent = agent().expect("a seat");
    agent.leave().expect("to leave");
    after_leaving()
}

/// The number of the error of every call, when they are the same, else 0.
#[unsafe(no_mangle)]
extern "C" fn after_leaving() -> u32 {
    let agent = agent().expect("the imports");
    let held = HELD.with_borrow(|held| held.first().map(|cell| cell.get().err().map_or(0, Error::code)));
    let codes = [agent.cell::<f64>("cell").err(), agent.new_map::<Str, Bytes>().err(), agent.remove("cell").err()]
        .map(|error| error.map_or(0, Error::code));
    if codes.iter().chain(&held).all(|&code| code == codes[0]) { codes[0] } else { 0 }
}

/// Calls itself for ever, a call of the heap in each frame.
#[allow(unconditional_recursion, reason = "the end of the stack is what is tried")]
#[unsafe(no_mangle)]
extern "C" fn overflow(depth: f64) -> f64 {
    let cell: Cell<f64> = agent().and_then(|agent| agent.cell("depth")).expect("a cell");
    cell.set(depth).expect("set");
    overflow(depth + 1.0) + cell.get().unwrap_or(0.0)
}
