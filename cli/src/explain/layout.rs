//! Where the blocks of a graph stand in a picture: layers from top to bottom.
//!
//! A block stands one layer below the lowest of its predecessors, back edges aside, and an
//! edge that crosses layers has a place of its own in each of them, so that it is not drawn
//! behind blocks (Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical
//! system structures", 1981). Inside a layer everything is ordered by where its neighbours
//! stand, downwards, upwards, and downwards again.

use crate::explain::graph::Edge;

/// Edges together may have so many places of their own for each block.
///
/// Real functions stay below three. What would have more is drawn straight.
const BENDS_PER_BLOCK: usize = 16;

/// The places of blocks and edges.
pub struct Layout {
    /// The layer of each block, from the top.
    pub layers: Vec<usize>,
    /// The place of each block in its layer, from the left.
    pub columns: Vec<usize>,
    /// The edges, with their places.
    pub edges: Vec<Edge>,
}

impl Layout {
    /// Where the blocks stand that have these `successors`; the first is the entry.
    ///
    /// Cost: O(blocks + edges), and three sorts of each layer.
    pub fn of(successors: &[Vec<usize>]) -> Self {
        let order = Order::of(successors);
        let layers = layers(successors, &order);
        let mut points = Points::new(layers.clone(), &order);
        let mut edges = Vec::new();
        let mut room = BENDS_PER_BLOCK * successors.len();
        for (from, next) in successors.iter().enumerate() {
            for to in next {
                let back = order.rank[*to] <= order.rank[from];
                let via = match back {
                    true => Vec::new(),
                    false => points.connect(from, *to, &mut room),
                };
                let to = *to;
                edges.push(Edge {
                    from,
                    to,
                    back,
                    via,
                });
            }
        }
        let mut columns = points.columns();
        for edge in &mut edges {
            edge.via.iter_mut().for_each(|bend| *bend = columns[*bend]);
        }
        columns.truncate(successors.len());
        Self {
            layers,
            columns,
            edges,
        }
    }
}

/// Reverse postorder.
struct Order {
    blocks: Vec<usize>,
    /// The position of each block in it.
    rank: Vec<usize>,
}

impl Order {
    /// Reverse postorder from the entry; what it does not lead to comes last.
    fn of(successors: &[Vec<usize>]) -> Self {
        let mut seen = vec![false; successors.len()];
        let mut blocks = Vec::new();
        for root in 0..successors.len() {
            if seen[root] {
                continue;
            }
            seen[root] = true;
            let mut found = Vec::new();
            let mut stack = vec![(root, 0)];
            while let Some((block, next)) = stack.pop() {
                match successors[block].get(next) {
                    Some(to) => {
                        stack.push((block, next + 1));
                        if !std::mem::replace(&mut seen[*to], true) {
                            stack.push((*to, 0));
                        }
                    }
                    None => found.push(block),
                }
            }
            blocks.extend(found.into_iter().rev());
        }
        let mut rank = vec![0; blocks.len()];
        for (at, block) in blocks.iter().enumerate() {
            rank[*block] = at;
        }
        Self { blocks, rank }
    }
}

/// For each block one more than the lowest of its predecessors, back edges aside.
fn layers(successors: &[Vec<usize>], order: &Order) -> Vec<usize> {
    let mut layers = vec![0; successors.len()];
    for from in &order.blocks {
        let is_forward = |to: &&usize| order.rank[**to] > order.rank[*from];
        for to in successors[*from].iter().filter(is_forward) {
            layers[*to] = layers[*to].max(layers[*from] + 1);
        }
    }
    layers
}

/// What has a place: the blocks, and behind them the bends of edges.
struct Points {
    layers: Vec<usize>,
    /// The points in the layer above that lead to each, and those below that it leads to.
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
    /// The points of each layer, from the left.
    members: Vec<Vec<usize>>,
}

impl Points {
    /// The blocks, in each layer in reverse postorder.
    fn new(layers: Vec<usize>, order: &Order) -> Self {
        let count = layers.iter().max().map_or(0, |last| last + 1);
        let mut members = vec![Vec::new(); count];
        for block in &order.blocks {
            members[layers[*block]].push(*block);
        }
        Self {
            above: vec![Vec::new(); layers.len()],
            below: vec![Vec::new(); layers.len()],
            layers,
            members,
        }
    }

    /// Leads from one block down to another, by bends, which are returned; straight if there is
    /// no `room` for them.
    fn connect(&mut self, from: usize, to: usize, room: &mut usize) -> Vec<usize> {
        let between = self.layers[from] + 1..self.layers[to];
        if between.len() > *room {
            return Vec::new();
        }
        *room -= between.len();
        let mut via = Vec::new();
        let mut last = from;
        for layer in between {
            let bend = self.layers.len();
            self.layers.push(layer);
            self.above.push(Vec::new());
            self.below.push(Vec::new());
            self.members[layer].push(bend);
            self.link(last, bend);
            via.push(bend);
            last = bend;
        }
        self.link(last, to);
        via
    }

    fn link(&mut self, upper: usize, lower: usize) {
        self.below[upper].push(lower);
        self.above[lower].push(upper);
    }

    /// The place of each point in its layer.
    fn columns(mut self) -> Vec<usize> {
        let mut columns = vec![0; self.layers.len()];
        for members in &self.members {
            number(members, &mut columns);
        }
        let down = || 0..self.members.len();
        let layers = down().chain(down().rev()).chain(down());
        for (step, layer) in layers.collect::<Vec<_>>().into_iter().enumerate() {
            let upwards = step / self.members.len() == 1;
            let neighbours = if upwards { &self.below } else { &self.above };
            let members = &mut self.members[layer];
            // Those without neighbours stay where they are.
            members.sort_by_key(|point| mean(&neighbours[*point], &columns, columns[*point]));
            number(members, &mut columns);
        }
        columns
    }
}

/// Notes the place of each of `members`.
fn number(members: &[usize], columns: &mut [usize]) {
    for (column, point) in members.iter().enumerate() {
        columns[*point] = column;
    }
}

/// The mean place of `points`, in thousandths, so that it is an integer.
fn mean(points: &[usize], columns: &[usize], otherwise: usize) -> usize {
    let sum: usize = points.iter().map(|point| columns[*point]).sum();
    match points.len() {
        0 => 1000 * otherwise,
        count => 1000 * sum / count,
    }
}
