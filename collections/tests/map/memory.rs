//! Memory that comes back from a map through which entries come and go.

use super::common::{Watchdog, audit, heap};
use super::{Shared, number};

#[test]
fn map_that_grows_and_shrinks_keeps_its_order_and_gives_everything_back() {
    let _watchdog = Watchdog::new("map_that_grows_and_shrinks_keeps_its_order_and_gives_everything_back");
    let map = Shared::new(heap(2048));
    let count = 100_000;
    for number in 0..count {
        map.set(&self::number(f64::from(number)), &self::number(f64::from(number) * 2.0));
    }
    let figures = audit(map.agent);
    println!(
        "{} entries: {} bytes, {:.1} each",
        map.size(),
        figures.live_bytes,
        figures.live_bytes as f64 / f64::from(count)
    );
    assert_eq!(map.size(), u64::from(count as u32));
    for (place, (key, value)) in map.entries().into_iter().enumerate() {
        assert_eq!((key, value), (number(place as f64), number(place as f64 * 2.0)));
    }
    for number in (0..count).filter(|number| number % 3 != 0) {
        assert!(map.delete(&self::number(f64::from(number))));
    }
    let expected: Vec<_> = (0..count).step_by(3).map(|number| self::number(f64::from(number))).collect();
    assert!(map.entries().into_iter().map(|(key, _)| key).eq(expected.iter().cloned()));
    audit(map.agent);
    for key in &expected {
        assert!(map.delete(key));
    }
    let figures = audit(map.agent);
    println!("none: {} blocks, {} bytes", figures.live_blocks, figures.live_bytes);
    assert!(figures.live_bytes < 3_000_000);
    map.clear();
    for _ in 0..1000 {
        map.set(&number(1.0), &number(1.0));
    }
    let figures = audit(map.agent);
    println!("cleared: {} blocks, {} bytes", figures.live_blocks, figures.live_bytes);
    assert!(figures.live_blocks <= 3);
    map.release();
    assert_eq!(audit(map.agent).live_blocks, 0);
}

#[test]
fn churn_of_distinct_keys_takes_no_more_memory_than_what_lives() {
    let _watchdog = Watchdog::new("churn_of_distinct_keys_takes_no_more_memory_than_what_lives");
    let map = Shared::new(heap(512));
    let (mut most, window) = (0, 500);
    for number in 0..1_000_000u64 {
        map.set(&self::number(number as f64), &self::number(1.0));
        if number >= window {
            assert!(map.delete(&self::number((number - window) as f64)));
        }
        if number % 100_000 == 99_999 {
            let figures = audit(map.agent);
            println!("{number}: {} blocks, {} bytes", figures.live_blocks, figures.live_bytes);
            most = most.max(figures.live_bytes);
        }
    }
    assert_eq!(map.size(), window);
    assert!(most < 200_000);
}
