//! Random operations on cells, and on plain values beside them.

use coheap::cell;
use coheap::value;
use coheap::{Handle, Table, Type, release};
use coheap_alloc::Error;

use super::common::{Random, Watchdog, agent, audit, heap, run};
use super::{Value, get, set, utf16};

fn some(random: &mut Random) -> Value {
    let lengths = [0, 1, 5, 6, 12, 64, 200, 1000, 9000, 70_000];
    let different = if random.below(50) == 0 { 10 } else { 7 };
    let length = lengths[random.below(different) as usize];
    // Few different ones, so that comparisons meet equal values.
    let letter = random.below(3) as u8;
    match random.below(8) {
        0 => Value::Number([0.0, -0.0, 7.0, f64::NAN][random.below(4) as usize]),
        1 => Value::Constant(value::UNDEFINED + random.below(4)),
        2 => Value::Latin1(vec![b'a' + letter; length]),
        3 => Value::Latin1(vec![0xE0 + letter; length]),
        4 => Value::Utf16(utf16(&vec![0xD800 + u16::from(letter); length.max(1)])),
        5 => Value::Bytes(vec![letter; length]),
        6 => Value::Integer(letter == 0, vec![letter + 1; length / 8 * 8 + 8]),
        _ => Value::Latin1([&b"content-type"[..], b"x-request-id", b"host"][letter as usize].to_vec()),
    }
}

#[test]
fn values_under_random_operations_match_plain_ones() {
    let _watchdog = Watchdog::new("values_under_random_operations_match_plain_ones");
    let mut random = Random::new("values_under_random_operations_match_plain_ones");
    let agent = agent(heap(2048));
    let mut model: Vec<(Handle, Value)> = Vec::new();
    for _ in 0..100_000 {
        let (value, other) = (some(&mut random), some(&mut random));
        if model.is_empty() || (model.len() < 100 && random.below(20) == 0) {
            let handle = run(agent, |o| cell::create_holding(o, value.given(Table::of(o))?));
            model.push((handle, value));
            continue;
        }
        let place = random.below(model.len() as u64) as usize;
        let (handle, now) = model[place].clone();
        match random.below(8) {
            0 | 1 => {
                set(agent, handle, &value).expect("room");
                model[place].1 = value;
            }
            2 | 3 => {
                let expected = if random.below(2) == 0 { now.clone() } else { other };
                let (done, _) = run(agent, |o| {
                    let table = Table::of(o);
                    cell::compare_and_set_value(o, handle, expected.given(table)?, value.given(table)?)
                });
                assert_eq!(done, expected == now, "{expected:?} {now:?}");
                if done {
                    model[place].1 = value;
                }
            }
            4 => {
                let sum = agent.operation(|o| cell::add(o, handle, 1.0));
                match (&now, sum) {
                    (Value::Number(number), Ok((sum, _))) => {
                        assert_eq!(Value::Number(sum), Value::Number(number + 1.0));
                        model[place].1 = Value::Number(sum);
                    }
                    (Value::Number(_), other) => panic!("{other:?}"),
                    (_, sum) => assert!(matches!(sum, Err(Error::NotANumber { .. })), "{sum:?}"),
                }
            }
            5 => {
                let same = run(agent, |o| cell::watch_value(Table::of(o), handle, &other.given(Table::of(o))?));
                assert_eq!(same.is_some(), other == now);
            }
            6 if random.below(8) == 0 => {
                let _ = run(agent, |o| release(o, handle, Type::Cell));
                model.swap_remove(place);
            }
            _ => assert_eq!(get(agent, handle), now),
        }
    }
    for (handle, value) in &model {
        assert_eq!(&get(agent, *handle), value);
        let _ = run(agent, |o| release(o, *handle, Type::Cell));
    }
    assert_eq!(audit(agent).live_blocks, 0);
}
