//! The control flow of a function, before it has instructions.

use fastrand::Rng;

/// How a block ends.
#[derive(Clone, Debug)]
pub enum Exit {
    /// To one block.
    Jump(usize),
    /// To the first or the second, by some value.
    Branch(usize, usize),
    /// Back to the first for a few rounds, then on to the second.
    Loop(usize, usize),
    /// To one of several; the last is the default.
    Table(Vec<usize>),
    /// A call that comes back to the first, or throws to the second.
    Try(usize, usize),
    /// Out of the function.
    Return,
    /// Out of the function, by a tail call.
    TailCall,
    /// A trap.
    Trap,
}

impl Exit {
    /// The blocks that may come next.
    pub fn successors(&self) -> Vec<usize> {
        match self {
            Self::Jump(to) => vec![*to],
            Self::Branch(a, b) | Self::Loop(a, b) | Self::Try(a, b) => vec![*a, *b],
            Self::Table(all) => all.clone(),
            Self::Return | Self::TailCall | Self::Trap => Vec::new(),
        }
    }
}

/// A control-flow graph whose first block is the entry.
pub struct Graph {
    /// How each block ends.
    pub exits: Vec<Exit>,
    /// The blocks that can be reached, in reverse postorder.
    pub order: Vec<usize>,
    /// The immediate dominator of each block that can be reached.
    pub idom: Vec<Option<usize>>,
    /// Does a later block lead back here?
    pub is_header: Vec<bool>,
}

impl Graph {
    /// A random graph. Its blocks are numbered forwards, so that an edge to a
    /// smaller number goes back.
    pub fn new(rng: &mut Rng) -> Self {
        let len = match rng.u8(..10) {
            0 => 1,
            1..4 => rng.usize(2..5),
            4 if rng.u8(..4) == 0 => rng.usize(13..30),
            _ => rng.usize(4..13),
        };
        Self::of((0..len).map(|block| exit(rng, block, len)).collect())
    }

    /// One block, or a loop of one.
    pub fn small(rng: &mut Rng) -> Self {
        Self::of(match rng.u8(..3) {
            0 => vec![Exit::Jump(1), Exit::Loop(1, 2), Exit::Return],
            _ => vec![Exit::Return],
        })
    }

    /// What a small function has: a few blocks, and any exit.
    pub fn of_callee(rng: &mut Rng) -> Self {
        let mut end = || match rng.u8(..8) {
            0..3 => Exit::TailCall,
            3 => Exit::Trap,
            _ => Exit::Return,
        };
        let ends = [end(), end()];
        let [a, b] = ends;
        Self::of(match rng.u8(..8) {
            0..4 => vec![a],
            4 => vec![Exit::Branch(1, 2), a, b],
            5 => vec![Exit::Try(1, 2), a, b],
            6 => vec![Exit::Branch(1, 2), Exit::Jump(2), a],
            _ => vec![Exit::Jump(1), Exit::Loop(1, 2), a],
        })
    }

    fn of(exits: Vec<Exit>) -> Self {
        let len = exits.len();
        let order = reverse_postorder(&exits);
        let idom = dominators(&exits, &order);
        let mut is_header = vec![false; len];
        for block in &order {
            for to in exits[*block].successors() {
                is_header[to] |= to <= *block;
            }
        }
        Self {
            exits,
            order,
            idom,
            is_header,
        }
    }
}

fn exit(rng: &mut Rng, block: usize, len: usize) -> Exit {
    if block + 1 == len {
        return Exit::Return;
    }
    let ahead = |rng: &mut Rng| (block + 1 + rng.usize(..3)).min(len - 1);
    // Never back to the entry: that cannot have parameters of its own.
    let back = |rng: &mut Rng| rng.usize(1.max(block.saturating_sub(4))..=block.max(1));
    let may_loop = block > 0;
    match rng.u8(..100) {
        0..20 => Exit::Jump(block + 1),
        20..26 => Exit::Jump(ahead(rng)),
        26..58 => Exit::Branch(ahead(rng), ahead(rng)),
        58..60 if may_loop => Exit::Branch(back(rng), ahead(rng)),
        60..78 if may_loop => Exit::Loop(back(rng), ahead(rng)),
        78..84 => Exit::Table((0..rng.usize(1..5)).map(|_| ahead(rng)).collect()),
        84..92 => Exit::Try(ahead(rng), ahead(rng)),
        92 => Exit::Trap,
        93 => Exit::TailCall,
        94 | 95 => Exit::Return,
        96 if may_loop && rng.u8(..4) == 0 => Exit::Jump(back(rng)),
        _ => Exit::Branch(block + 1, ahead(rng)),
    }
}

fn reverse_postorder(exits: &[Exit]) -> Vec<usize> {
    let mut seen = vec![false; exits.len()];
    let mut order = Vec::new();
    visit(exits, 0, &mut seen, &mut order);
    order.reverse();
    order
}

fn visit(exits: &[Exit], block: usize, seen: &mut [bool], order: &mut Vec<usize>) {
    seen[block] = true;
    for to in exits[block].successors() {
        if !seen[to] {
            visit(exits, to, seen, order);
        }
    }
    order.push(block);
}

/// Immediate dominators, by sets of blocks as bits.
fn dominators(exits: &[Exit], order: &[usize]) -> Vec<Option<usize>> {
    let mut sets = vec![u64::MAX; exits.len()];
    sets[0] = 1;
    let mut changed = true;
    while changed {
        changed = false;
        for block in order {
            for to in exits[*block].successors() {
                let meet = sets[to] & (sets[*block] | 1 << to);
                let meet = if to == 0 { 1 } else { meet };
                changed |= meet != sets[to];
                sets[to] = meet;
            }
        }
    }
    let mut idom = vec![None; exits.len()];
    for block in order.iter().skip(1) {
        let strict = sets[*block] & !(1 << block);
        // Of the blocks that dominate this one, the last is dominated by all.
        idom[*block] = order
            .iter()
            .copied()
            .filter(|other| strict >> other & 1 == 1)
            .max_by_key(|other| (sets[*other] & ((1 << exits.len()) - 1)).count_ones());
    }
    idom
}
