use proptest::prelude::*;
use torg_profile::{HoleRefused, Limits, Parity, SerialDefaults};

use super::*;

struct Nothing;

impl Forbidden for Nothing {
    fn touches(&self, _: Table, _: u16, _: u16) -> bool {
        false
    }
}

struct Hole(u16);

impl Forbidden for Hole {
    fn touches(&self, _: Table, address: u16, count: u16) -> bool {
        (address..address + count).contains(&self.0)
    }
}

fn link(gap: Gap) -> Link {
    let ms = Duration::from_millis;
    Link {
        serial: SerialDefaults { baud: vec![9600], parity: Parity::None, stop_bits: 1, unit: 1 },
        timing: torg_profile::Timing { timeout: ms(500), turnaround: ms(20), pause: ms(0), connect_delay: ms(0) },
        limits: Limits { read: 80, read_bits: 2000, write: 20, gap, connections: 1, pipeline: 1 },
        no_read: Vec::new(),
        on_hole_refused: HoleRefused::Split,
    }
}

fn cost(baud: u32, gap: Gap) -> Cost {
    Cost::new(&Timing::serial(baud, Duration::from_millis(500)), &link(gap))
}

fn span(address: u16, count: u16) -> Span {
    Span { table: Table::Input, address, count, alone_before: false }
}

fn requests(spans: &[Span], baud: u32, forbidden: &dyn Forbidden) -> Vec<(u16, u16)> {
    plan(spans, &cost(baud, Gap::Auto), forbidden).iter().map(|block| (block.address, block.count)).collect()
}

fn time(blocks: &[Block], cost: &Cost) -> Duration {
    blocks.iter().map(|block| cost.of(block.table, u32::from(block.count))).sum()
}

#[test]
fn neighbours_share_a_request() {
    assert_eq!(requests(&[span(2, 2), span(0, 2), span(4, 2)], 9600, &Nothing), [(0, 6)]);
}

#[test]
fn a_gap_is_read_over_while_it_costs_less_than_a_request() {
    // 9600 baud: a request costs 13 characters, two gaps and 20 ms: 42.9 ms; a register 2.29 ms. 18 fit, 19 do not.
    assert_eq!(requests(&[span(0, 2), span(20, 2)], 9600, &Nothing), [(0, 22)]);
    assert_eq!(requests(&[span(0, 2), span(21, 2)], 9600, &Nothing), [(0, 2), (21, 2)]);
}

#[test]
fn the_same_gap_is_read_over_on_a_faster_line() {
    assert_eq!(requests(&[span(0, 2), span(60, 2)], 115_200, &Nothing), [(0, 62)]);
}

#[test]
fn a_request_is_as_long_as_the_device_takes_and_not_longer() {
    assert_eq!(requests(&[span(0, 40), span(40, 40)], 9600, &Nothing), [(0, 80)]);
    assert_eq!(requests(&[span(0, 40), span(40, 41)], 9600, &Nothing).len(), 2);
}

#[test]
fn a_hole_is_not_read_over() {
    assert_eq!(requests(&[span(0, 2), span(4, 2)], 9600, &Hole(3)), [(0, 2), (4, 2)]);
    assert_eq!(requests(&[span(0, 2), span(4, 2)], 9600, &Hole(6)), [(0, 6)]);
}

#[test]
fn a_point_that_forces_a_new_block_starts_one() {
    let forced = Span { alone_before: true, ..span(2, 2) };
    assert_eq!(requests(&[span(0, 2), forced, span(4, 2)], 9600, &Nothing), [(0, 2), (2, 4)]);
}

#[test]
fn tables_do_not_mix() {
    let holding = Span { table: Table::Holding, ..span(2, 2) };
    assert_eq!(requests(&[span(0, 2), holding], 9600, &Nothing).len(), 2);
}

#[test]
fn a_fixed_gap_of_the_profile_is_kept() {
    let blocks = |gap| plan(&[span(0, 2), span(4, 2)], &cost(9600, Gap::Fixed(gap)), &Nothing).len();
    assert_eq!((blocks(1), blocks(2)), (2, 1));
}

#[test]
fn points_in_the_same_register_are_read_once() {
    let blocks = plan(&[span(5, 1), span(5, 1), span(4, 4)], &cost(9600, Gap::Auto), &Nothing);
    assert_eq!(blocks.len(), 1);
    assert_eq!((blocks[0].address, blocks[0].count, blocks[0].spans.len()), (4, 4, 3));
}

/// Two-register points of a three-phase meter, as an SDM630 has them.
fn sdm630() -> Vec<Span> {
    let addresses = (0x00..=0x24_u16)
        .chain([0x2A, 0x2E, 0x30, 0x34, 0x38, 0x3C, 0x3E, 0x46, 0x48, 0x4A, 0x4C, 0x4E])
        .chain([0xC8, 0xCA, 0xCC, 0xE0, 0xF8, 0xFA, 0x156, 0x158]);
    addresses.filter(|address| address % 2 == 0).map(|address| span(address, 2)).collect()
}

#[test]
fn a_whole_meter_is_read_at_least_three_times_faster_than_point_by_point() {
    for baud in [9600, 115_200] {
        let cost = cost(baud, Gap::Auto);
        let blocks = plan(&sdm630(), &cost, &Nothing);
        let single: Duration = sdm630().iter().map(|span| cost.of(span.table, 2)).sum();
        let planned = time(&blocks, &cost);
        println!("{} points at {baud}: {} requests {planned:?}, one by one {single:?}", sdm630().len(), blocks.len());
        assert!(planned * 3 < single);
    }
}

/// The least time over every way to put the spans into requests, neighbours or not.
fn least(spans: &[Span], groups: &mut Vec<Vec<Span>>, cost: &Cost) -> Option<Duration> {
    let Some((first, rest)) = spans.split_first() else {
        return groups
            .iter()
            .map(|group| {
                let begin = group.iter().map(|span| u32::from(span.address)).min()?;
                let end = group.iter().map(Span::end).max()?;
                let fits = group.iter().all(|span| span.table == group[0].table) && end - begin <= 80;
                fits.then(|| cost.of(group[0].table, end - begin))
            })
            .sum();
    };
    let mut best = None;
    for at in 0..=groups.len() {
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(*first);
        let time = least(rest, groups, cost);
        groups[at].pop();
        groups.retain(|group| !group.is_empty());
        best = best.into_iter().chain(time).min();
    }
    best
}

proptest! {
    #[test]
    fn no_partition_is_more_than_five_percent_faster(
        picks in proptest::collection::vec((0_u16..400, 1_u16..9), 1..7),
        baud in prop_oneof![Just(0_u32), Just(9600), Just(115_200)],
    ) {
        let spans: Vec<Span> = picks.iter().map(|(address, count)| span(*address, *count)).collect();
        let cost = cost(baud, Gap::Auto);
        let planned = time(&plan(&spans, &cost, &Nothing), &cost);
        let optimum = least(&spans, &mut Vec::new(), &cost).unwrap();
        prop_assert!(planned.as_nanos() * 100 <= optimum.as_nanos() * 105, "{planned:?} against {optimum:?}");
    }

    #[test]
    fn every_span_lies_in_exactly_one_request(picks in proptest::collection::vec((any::<u16>(), 1_u16..30), 0..60)) {
        let spans: Vec<Span> = picks.iter().map(|(address, count)| span((*address).min(65_500), *count)).collect();
        let blocks = plan(&spans, &cost(9600, Gap::Auto), &Nothing);
        let mut served: Vec<usize> = blocks.iter().flat_map(|block| block.spans.clone()).collect();
        served.sort_unstable();
        prop_assert_eq!(served, (0..spans.len()).collect::<Vec<_>>());
        for block in &blocks {
            for index in &block.spans {
                let span = spans[*index];
                prop_assert!(span.address >= block.address);
                prop_assert!(span.end() <= u32::from(block.address) + u32::from(block.count));
            }
        }
    }
}
