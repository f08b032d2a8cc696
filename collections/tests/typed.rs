//! The typed structures: ownership, threads, values that are not what was expected.
#![cfg(feature = "std")]
mod common;

use coheap::typed::{Any, Bytes, Cell, Fields, Handle, Heap, Map, Scalar, Str, Structure};
use coheap_alloc::Error;
use common::Watchdog;

fn heap() -> Heap {
    Heap::in_process(64 << 20).expect("a heap")
}

#[test]
fn typed_structure_lives_as_long_as_its_owners() {
    let agent = heap().attach().expect("a seat");
    let first: Cell<f64> = agent.new_cell().expect("room");
    let handle = first.handle();
    let second = agent.open(handle).expect("it lives");
    // An agent has one reference, however often it opened the object.
    drop(first);
    second.set(1.0).expect("it lives");
    drop(second);
    assert!(matches!(agent.open(handle), Err(Error::StaleHandle { .. })));
    assert_eq!(agent.audit().expect("whole").live_blocks, 0);
}

#[test]
fn typed_seat_is_given_back_with_its_last_structure() {
    let heap = heap();
    let watching = heap.attach().expect("a seat");
    let agents = || watching.audit().expect("whole").agents;
    let agent = heap.attach().expect("a seat");
    let fields = agent.new_fields().expect("room");
    let handle = fields.handle();
    drop(agent);
    assert_eq!(agents(), 2);
    fields.append("a", "1").expect("the seat is there");
    drop(fields);
    assert_eq!(agents(), 1);
    assert!(matches!(watching.open::<Fields>(handle), Err(Error::StaleHandle { .. })));
}

#[test]
fn typed_structures_are_shared_by_threads() {
    const ROUNDS: u32 = 20_000;
    let _watchdog = Watchdog::new("typed_structures_are_shared_by_threads");
    let heap = heap();
    let agent = heap.attach().expect("a seat");
    let count: Cell<u32> = agent.new_cell().expect("room");
    let handle = count.handle();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                let agent = heap.attach().expect("a seat");
                let (count, state) = (agent.open(handle).expect("it lives"), agent.cell::<Str>("state").expect("room"));
                for round in 0..ROUNDS {
                    count.add(1).expect("a number");
                    if round % 16 == 0 {
                        state
                            .set(if round % 32 == 0 { "a state that is a text" } else { "ein anderer für Ärger" })
                            .expect("room");
                    }
                }
            });
        }
    });
    assert_eq!(count.get(), Ok(4 * ROUNDS));
    agent.remove("state").expect("it was there");
    drop(count);
    assert_eq!(agent.audit().expect("whole").live_blocks, 0);
    println!("cases typed_structures_are_shared_by_threads {}", 4 * ROUNDS);
}

#[test]
fn typed_value_of_another_kind_is_refused_and_not_rounded() {
    let agent = heap().attach().expect("a seat");
    let any: Cell<Any> = agent.cell("cell").expect("room");
    let (whole, text): (Cell<u32>, Cell<Str>) =
        (agent.cell("cell").expect("there"), agent.cell("cell").expect("there"));
    let bytes: Cell<Bytes> = agent.open(Handle::from_bits(any.handle().to_bits())).expect("it lives");
    for wrong in
        [Scalar::Number(1.5), Scalar::Number(-1.0), Scalar::Number(-0.0), Scalar::Number(f64::NAN), Scalar::Null]
    {
        any.set(&wrong).expect("room");
        assert!(matches!(whole.get(), Err(Error::UnexpectedValue { .. })), "{wrong:?}");
    }
    // No letter stands for what is no text.
    any.set(&Scalar::Units(vec![0xD800])).expect("room");
    assert!(matches!(text.get(), Err(Error::UnexpectedValue { .. })));
    assert_eq!(any.get(), Ok(Scalar::Units(vec![0xD800])));
    bytes.set(b"bytes").expect("room");
    assert!(matches!(text.get(), Err(Error::UnexpectedValue { .. })));
    assert!(matches!(whole.add(1), Err(Error::NotANumber { .. })));
    assert_eq!(bytes.get(), Ok(b"bytes".to_vec()));
    whole.set(u32::MAX).expect("room");
    assert_eq!((whole.get(), any.get()), (Ok(u32::MAX), Ok(Scalar::Number(u32::MAX.into()))));
}

#[test]
fn typed_values_of_any_length_come_out_as_they_went_in() {
    let agent = heap().attach().expect("a seat");
    let cell: Cell<Str> = agent.new_cell().expect("room");
    for letters in ["a", "ä", "漢", "😀"] {
        for times in [0, 1, 5, 6, 300, 28_672, 28_673, 200_000] {
            let text = letters.repeat(times);
            cell.set(&text).expect("room");
            assert_eq!(cell.get(), Ok(text), "{letters} {times} times");
        }
    }
    drop(cell);
    assert_eq!(agent.audit().expect("whole").live_blocks, 0);
}

#[test]
fn typed_fields_of_any_size_come_out_as_they_went_in() {
    let agent = heap().attach().expect("a seat");
    let fields = agent.new_fields().expect("room");
    for size in [10, 14_000, 15_000, 60_000, 120_000] {
        let value = "v".repeat(size);
        fields.set("Name", &[value.as_bytes()]).expect("room");
        assert_eq!(fields.get("name"), Ok(Some(value.into_bytes())));
    }
    let copy = fields.duplicate().expect("room");
    assert_eq!(copy.entries(), fields.entries());
    let too_large = fields.append("other", "v".repeat(1 << 20));
    assert!(matches!(too_large, Err(Error::FieldsTooLarge { .. })));
    fields.set("Name", &[]).expect("room");
    assert!(!fields.has("NAME").expect("they live"));
}

#[test]
fn typed_names_of_another_type_and_heaps_of_no_size_are_refused() {
    let agent = heap().attach().expect("a seat");
    let _cell: Cell<f64> = agent.cell("name").expect("room");
    assert!(matches!(agent.fields("name"), Err(Error::WrongType { .. })));
    assert!(agent.cell::<f64>("").is_err());
    assert!(matches!(agent.cell::<f64>(&"n".repeat(1025)), Err(Error::NameTooLong { .. })));
    for bits in [0, 1, u64::MAX, 0x8000_0000, 1 << 32] {
        assert!(
            matches!(agent.open::<Cell<f64>>(Handle::from_bits(bits)), Err(Error::StaleHandle { .. })),
            "{bits:#x}"
        );
    }
    for size in [0, 1, 65_536, u64::MAX, (4 << 30) + 1] {
        assert!(Heap::in_process(size).is_err(), "{size}");
    }
}

#[test]
fn typed_structure_in_a_map_comes_out_as_it_went_in() {
    let heap = heap();
    let agent = heap.attach().expect("a seat");
    let sessions: Map<Str, Map<Str, f64>> = agent.map("sessions").expect("room");
    let headers: Map<u32, Fields> = agent.new_map().expect("room");
    {
        let session = agent.new_map().expect("room");
        session.insert("hits", 1.0).expect("room");
        sessions.insert("one", &session).expect("room");
        let fields = agent.new_fields().expect("room");
        fields.append("a", "1").expect("room");
        headers.insert(7, &fields).expect("room");
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let agent = heap.attach().expect("a seat");
            let sessions: Map<Str, Map<Str, f64>> = agent.map("sessions").expect("there");
            let session = sessions.get("one").expect("read").expect("there");
            assert_eq!(session.add("hits", 1.0), Ok(2.0));
            assert_eq!(sessions.entries().expect("read").len(), 1);
        });
    });
    let session = sessions.get("one").expect("read").expect("there");
    assert_eq!(session.get("hits"), Ok(Some(2.0)));
    assert_eq!(headers.get(7).expect("read").expect("there").get("A").expect("read").as_deref(), Some(&b"1"[..]));
    assert_eq!(sessions.get_or_insert("one", &session).expect("there").handle(), session.handle());
    assert!(sessions.compare_and_set("one", Some(&session), None).expect("it has it"));
    assert!(sessions.get("one").expect("read").is_none());
    // As a map of numbers it holds no numbers.
    let numbers: Map<u32, f64> = agent.open(Handle::from_bits(headers.handle().to_bits())).expect("it lives");
    assert!(matches!(numbers.get(7), Err(Error::UnexpectedValue { .. })));
    let any: Map<Any, Any> = agent.open(Handle::from_bits(headers.handle().to_bits())).expect("it lives");
    let found = any.get(&Scalar::Number(7.0)).expect("read");
    assert!(matches!(found, Some(Scalar::Object(_))), "{found:?}");
    let cell: Cell<Any> = agent.new_cell().expect("room");
    assert!(matches!(cell.set(&found.expect("there")), Err(Error::UnexpectedValue { .. })));
    agent.remove("sessions").expect("there");
    drop((session, sessions, numbers, any, headers));
    assert_eq!(agent.audit().expect("whole").live_blocks, 0);
}
