//! From wanted points to readings: plans the requests, asks, decodes, and finds the holes a device refuses to read over.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;
use torg_profile::{HoleRefused, Link, Point, Raw, Table};
use torg_thing::{Field, FieldName, NodeError, Timestamp};

use crate::plan::{Block, Cost, Forbidden, Span, plan};
use crate::port::{Ask, Exception, Lane, Line, LineError, Reply, Request};

/// What a device has refused since the line began.
#[derive(Debug, Default)]
pub(crate) struct Learned(Mutex<Refused>);

#[derive(Debug, Default, Clone)]
struct Refused {
    /// Gaps between points that must not be read over: table, first address, count.
    holes: Vec<(Table, u16, u16)>,
    /// Points that are refused themselves and would take their neighbours down with them.
    points: BTreeSet<(Table, u16)>,
    /// A request must start here: the two sides were refused together and read apart.
    starts: BTreeSet<(Table, u16)>,
}

/// Holes kept for one device; the worst profile has a gap per point.
const HOLES_MAX: usize = 256;

impl Learned {
    fn now(&self) -> Refused {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, act: impl FnOnce(&mut Refused)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

struct Closed<'a> {
    link: &'a Link,
    refused: &'a Refused,
}

impl Forbidden for Closed<'_> {
    fn touches(&self, table: Table, address: u16, count: u16) -> bool {
        let (begin, end) = (u32::from(address), u32::from(address).saturating_add(u32::from(count)));
        self.link.forbids(table, address, count)
            || self.refused.holes.iter().any(|(other, from, length)| {
                let (from, to) = (u32::from(*from), u32::from(*from).saturating_add(u32::from(*length)));
                *other == table && from < end && begin < to
            })
    }
}

/// What one request brought.
#[derive(Debug)]
pub(crate) struct Part {
    /// Fields that could be decoded.
    pub(crate) fields: Vec<Field>,
    /// Fields that could not be had, and why.
    pub(crate) failures: Vec<(Vec<FieldName>, NodeError)>,
    /// The line or the whole device failed: further requests would fare the same.
    pub(crate) hopeless: bool,
}

/// Several points read in one piece: those of a `read_with` group, or one alone.
struct Piece<'p> {
    span: Span,
    points: Vec<&'p Point>,
}

/// Everything needed to read one device.
pub(crate) struct Fetch<'a> {
    pub(crate) line: &'a Line,
    pub(crate) unit: u8,
    pub(crate) link: &'a Link,
    pub(crate) cost: &'a Cost,
    pub(crate) learned: &'a Learned,
    pub(crate) lane: Lane,
    pub(crate) deadline: Instant,
}

/// The requests for some points, one after the other.
pub(crate) struct Requests<'f, 'p> {
    fetch: &'f Fetch<'f>,
    pieces: Vec<Piece<'p>>,
    blocks: std::vec::IntoIter<Block>,
}

impl<'f> Fetch<'f> {
    /// Plans the requests for `points`.
    pub(crate) fn plan<'p>(&'f self, points: &[&'p Point]) -> Requests<'f, 'p> {
        let refused = self.learned.now();
        let pieces = pieces(points, &refused);
        // A point that the device refuses is asked alone, so that it does not take others down.
        let (alone, together): (Vec<usize>, Vec<usize>) = (0..pieces.len()).partition(|at| {
            pieces.get(*at).is_some_and(|piece| refused.points.contains(&(piece.span.table, piece.span.address)))
        });
        let spans: Vec<Span> = together.iter().filter_map(|at| pieces.get(*at).map(|piece| piece.span)).collect();
        let mut blocks = plan(&spans, self.cost, &Closed { link: self.link, refused: &refused });
        for block in &mut blocks {
            block.spans = block.spans.iter().filter_map(|index| together.get(*index).copied()).collect();
        }
        blocks.extend(alone.into_iter().filter_map(|at| {
            let Span { table, address, count, .. } = pieces.get(at)?.span;
            Some(Block { table, address, count, spans: vec![at] })
        }));
        Requests { fetch: self, pieces, blocks: blocks.into_iter() }
    }

    async fn ask(&self, block: &Block) -> Result<Result<Reply, Exception>, LineError> {
        let request = Request::Read { table: block.table, address: block.address, count: block.count };
        let timeout = Some(self.link.timing.timeout);
        self.line.ask(Ask { unit: self.unit, request, lane: self.lane, deadline: self.deadline, timeout }).await
    }
}

fn pieces<'p>(points: &[&'p Point], refused: &Refused) -> Vec<Piece<'p>> {
    let mut pieces: Vec<Piece<'p>> = Vec::new();
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for point in points {
        let group = point.read_with();
        let place = groups.iter().find(|(name, _)| Some(*name) == group).map(|(_, at)| *at);
        if let Some(piece) = place.and_then(|at| pieces.get_mut(at)).filter(|piece| piece.span.table == point.table()) {
            let end = |address: u16, count: u16| u32::from(address).saturating_add(u32::from(count));
            let last = end(piece.span.address, piece.span.count).max(end(point.address(), point.count()));
            piece.span.address = piece.span.address.min(point.address());
            piece.span.count = u16::try_from(last.saturating_sub(u32::from(piece.span.address))).unwrap_or(u16::MAX);
            piece.span.alone_before |= point.forces_new_block();
            piece.points.push(point);
            continue;
        }
        groups.extend(group.map(|name| (name, pieces.len())));
        let start = refused.starts.contains(&(point.table(), point.address()));
        let span = Span {
            table: point.table(),
            address: point.address(),
            count: point.count(),
            alone_before: point.forces_new_block() || start,
        };
        pieces.push(Piece { span, points: vec![point] });
    }
    pieces
}

impl Requests<'_, '_> {
    /// Sends the next request and decodes what comes. `None` when all is read. `at` gives the time of the reading.
    pub(crate) async fn next(&mut self, at: &(dyn Fn() -> Timestamp + Send + Sync)) -> Option<Part> {
        let block = self.blocks.next()?;
        let mut part = Part { fields: Vec::new(), failures: Vec::new(), hopeless: false };
        self.read(&block, at, &mut part).await;
        Some(part)
    }

    /// The names of everything not read yet.
    pub(crate) fn rest(&self) -> Vec<FieldName> {
        self.blocks.as_slice().iter().flat_map(|block| self.names(block)).collect()
    }

    fn names(&self, block: &Block) -> Vec<FieldName> {
        let pieces = block.spans.iter().filter_map(|at| self.pieces.get(*at));
        pieces.flat_map(|piece| piece.points.iter().map(|point| point.name().clone())).collect()
    }

    /// Reads a block. If the device refuses it for an address, reads its halves, and so on until the hole is found.
    /// True if it was not refused as a whole.
    fn read<'r>(
        &'r self,
        block: &'r Block,
        at: &'r (dyn Fn() -> Timestamp + Send + Sync),
        part: &'r mut Part,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'r>> {
        Box::pin(async move {
            let reply = match self.fetch.ask(block).await {
                Ok(Ok(reply)) => reply,
                Ok(Err(exception)) => return self.refused(block, exception, at, part).await,
                Err(error) => {
                    part.hopeless = true;
                    part.failures.push((self.names(block), error.into()));
                    return true;
                }
            };
            let time = at();
            for piece in block.spans.iter().filter_map(|index| self.pieces.get(*index)) {
                for point in &piece.points {
                    match decode(point, block, &reply, time) {
                        Ok(field) => part.fields.push(field),
                        Err(error) => part.failures.push((vec![point.name().clone()], error)),
                    }
                }
            }
            true
        })
    }

    async fn refused(
        &self,
        block: &Block,
        exception: Exception,
        at: &(dyn Fn() -> Timestamp + Send + Sync),
        part: &mut Part,
    ) -> bool {
        let split = self.fetch.link.on_hole_refused == HoleRefused::Split;
        let halves = (split && exception == Exception::ILLEGAL_ADDRESS).then(|| self.halves(block)).flatten();
        let Some((left, right)) = halves else {
            if exception == Exception::ILLEGAL_ADDRESS {
                self.fetch.learned.note(|refused| {
                    refused.points.insert((block.table, block.address));
                });
            }
            part.failures.push((self.names(block), exception.into()));
            return false;
        };
        let left_whole = self.read(&left, at, part).await;
        if part.hopeless {
            part.failures.push((self.names(&right), exception.into()));
            return false;
        }
        let right_whole = self.read(&right, at, part).await;
        if left_whole && right_whole && !part.hopeless {
            // Each side alone was taken: what lies between them was the trouble, or that it was so long.
            let end = left.address.saturating_add(left.count);
            let gap = right.address.saturating_sub(end);
            self.fetch.learned.note(|refused| {
                if gap == 0 {
                    refused.starts.insert((right.table, right.address));
                } else if refused.holes.len() < HOLES_MAX {
                    refused.holes.push((right.table, end, gap));
                }
            });
        }
        false
    }

    /// The block in two; `None` if it is a single piece.
    fn halves(&self, block: &Block) -> Option<(Block, Block)> {
        let (left, right) = block.spans.split_at_checked(block.spans.len() / 2)?;
        Some((self.block_of(left)?, self.block_of(right)?))
    }

    fn block_of(&self, pieces: &[usize]) -> Option<Block> {
        let spans: Vec<Span> = pieces.iter().filter_map(|at| self.pieces.get(*at)).map(|piece| piece.span).collect();
        let address = spans.iter().map(|span| span.address).min()?;
        let end = spans.iter().map(|span| u32::from(span.address).saturating_add(u32::from(span.count))).max()?;
        let count = u16::try_from(end.saturating_sub(u32::from(address))).ok()?;
        Some(Block { table: spans.first()?.table, address, count, spans: pieces.to_vec() })
    }
}

fn decode(point: &Point, block: &Block, reply: &Reply, at: Timestamp) -> Result<Field, NodeError> {
    let begin = usize::from(point.address().saturating_sub(block.address));
    let range = begin..begin.saturating_add(usize::from(point.count()));
    let short = || NodeError::DeviceGarbled("the answer is too short".to_owned());
    let raw = match reply {
        Reply::Bits(bits) => Raw::Bits(bits.get(range).ok_or_else(short)?),
        Reply::Words(words) => Raw::Words(words.get(range).ok_or_else(short)?),
        Reply::Written => return Err(short()),
    };
    // The failure goes out with the name of the point.
    point.field(raw, at).map_err(|error| NodeError::ConfigMismatch(error.to_string()))
}
