//! Functions with regions, calls and a policy, in which traffic on memory is dense.

mod body;
mod graph;

use super::Module;
use crate::inputs::Inputs;
use crate::layout::{self, HOMES, VMCTX};
use fastrand::Rng;

/// What all functions of a module agree on.
pub(crate) struct Plan {
    /// The number of functions.
    pub functions: usize,
    /// The homes of the pointers that each function takes.
    pub pointers: Vec<[usize; 2]>,
    /// What each function may do.
    pub styles: Vec<Style>,
    /// The home that the stack limit of each function is loaded from.
    pub limits: Vec<Option<usize>>,
    /// Is the module about what small functions do to their callers?
    pub small_callees: bool,
    /// Are there more calls of earlier functions?
    pub recursive: bool,
    /// Does the first function write what it loads as `readonly`?
    pub sealed: bool,
    /// Is there memory that the world accesses at any time?
    pub asynchronous: bool,
    /// Does region 1 have a second tag?
    pub joined: bool,
    /// A later function that is called before all others, and from nowhere else, and
    /// that writes out of its slots.
    pub outsider: Option<usize>,
    /// What is rare, and keeps a module from being run as machine code, or upstream
    /// from being right.
    pub rare: Rare,
    /// The homes in which the world forgets the addresses that it finds.
    pub forgotten: Vec<usize>,
    /// Are addresses of slots put nowhere else?
    pub discreet: bool,
    /// What is declared about the host, the regions, and shared pointers.
    pub clauses: Vec<String>,
}

/// Which rare things the functions of a module do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rare {
    /// Values of types that are hardly computed with.
    pub types: bool,
    /// Accesses that leave their slot by a constant, and addresses that are constants.
    pub outside: bool,
    /// Slots of a size that the target says.
    pub dynamic: bool,
    /// Switches to other stacks.
    pub stacks: bool,
    /// Records that are passed by value.
    pub records: bool,
    /// Source locations, and tags of the front end.
    pub located: bool,
    /// Many atomic accesses.
    pub atomics: bool,
}

impl Rare {
    fn new(rng: &mut Rng) -> Self {
        let mut one_of = |count: u8| rng.u8(..count) == 0;
        Self {
            types: one_of(8),
            outside: one_of(12),
            dynamic: one_of(24),
            stacks: one_of(24),
            records: one_of(24),
            located: one_of(4),
            atomics: one_of(8),
        }
    }
}

/// What a function may do besides computing, and accessing memory of its own
/// and of its pointers. The less it may, the more is known about calling it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// It may call.
    pub calls: bool,
    /// It may trap by itself.
    pub traps: bool,
    /// It may execute atomics, fences and the like.
    pub barriers: bool,
    /// Everything that it accesses outside of its frame has a region.
    pub tagged: bool,
    /// It does nothing but to change memory for a while, and to put back what it
    /// has found.
    pub lends: bool,
}

impl Style {
    fn new(rng: &mut Rng, function: usize) -> Self {
        if function == 0 || rng.u8(..5) < 2 {
            return Self {
                calls: true,
                traps: true,
                barriers: true,
                tagged: false,
                lends: false,
            };
        }
        Self {
            lends: rng.u8(..4) == 0,
            calls: rng.bool(),
            traps: rng.u8(..3) == 0,
            barriers: false,
            tagged: true,
        }
    }

    /// Of a small function: each thing that it may do decides what is known about
    /// calling it, so that few of them come together.
    fn small(rng: &mut Rng) -> Self {
        Self {
            lends: rng.u8(..4) == 0,
            calls: rng.bool(),
            traps: rng.u8(..3) == 0,
            barriers: rng.u8(..12) == 0,
            tagged: rng.u8(..3) != 0,
        }
    }
}

/// The bytes of a home that a pointer parameter may point to begin at most so
/// far from the home's first byte.
pub(crate) const MAX_START: u64 = 32;
/// How far behind a pointer parameter its memory certainly reaches.
pub(crate) const REACH: i64 = 48;

impl Plan {
    fn new(rng: &mut Rng) -> Self {
        let small_callees = rng.u8(..4) == 0;
        let functions = match small_callees {
            true => rng.usize(2..6),
            false => rng.usize(1..5),
        };
        let style = |at| match small_callees && at > 0 {
            true => Style::small(rng),
            false => Style::new(rng, at),
        };
        let mut styles: Vec<Style> = (0..functions).map(style).collect();
        // The other functions of a module would have to forget as well.
        let forgets = functions == 1 && rng.u8(..4) != 0;
        let discreet = forgets && rng.u8(..4) != 0;
        styles[0].tagged = discreet;
        let outsider = (functions > 1 && rng.u8(..10) == 0).then_some(functions - 1);
        if let Some(outsider) = outsider {
            styles[outsider] = Style {
                calls: false,
                traps: false,
                barriers: false,
                tagged: true,
                lends: false,
            };
        }
        let pointers = styles.iter().map(|style| {
            let first = usize::from(style.tagged);
            [rng.usize(first..HOMES), rng.usize(first..HOMES)]
        });
        let pointers = pointers.collect();
        let limits = (0..functions).map(|_| (rng.u8(..5) == 0).then(|| rng.usize(..HOMES)));
        let limits = limits.collect();
        let mut plan = Self {
            functions,
            pointers,
            styles,
            limits,
            small_callees,
            recursive: rng.u8(..if small_callees { 2 } else { 4 }) == 0,
            sealed: rng.u8(..6) == 0,
            asynchronous: rng.u8(..4) == 0,
            joined: rng.u8(..4) == 0,
            outsider,
            rare: Rare::new(rng),
            forgotten: Vec::new(),
            discreet,
            clauses: Vec::new(),
        };
        if plan.asynchronous {
            plan.clause(format!("asynchronous {}", layout::ASYNCHRONOUS));
        }
        if plan.joined {
            plan.clause(format!("join 1 {}", layout::JOINED));
        }
        if forgets {
            plan.forget(rng);
        }
        if plan.joined && rng.u8(..3) == 0 {
            // What holds for one tag of a memory holds for the memory.
            let tag = [1, layout::JOINED][rng.usize(..2)];
            plan.clause(format!("lost-at-trap {tag}"));
        }
        for region in [2, 3] {
            if rng.u8(..5) == 0 {
                plan.clause(format!("lost-at-trap {region}"));
            }
        }
        if rng.u8(..4) == 0 {
            let (offset, _) = layout::POINTER_CELLS[rng.usize(..2)];
            plan.clause(format!("shared-pointer {} {offset}", layout::READ_ONLY));
        }
        for host in 2..4 {
            if rng.u8(..3) != 0 {
                let effects = effects(rng);
                plan.clause(format!("callee u{}:{host}{effects}", layout::HOST));
            }
        }
        if plan.rare.records && rng.bool() {
            let effects = effects(rng);
            plan.clause(format!("callee u{}:5{effects}", layout::HOST));
        }
        if rng.bool() {
            let effects = effects(rng);
            let (region, offset) = (layout::READ_ONLY, layout::FUNCTION_CELL);
            plan.clause(format!("loaded-callee {region} {offset}{effects}"));
        }
        plan
    }

    /// Declares that the world forgets the addresses in some homes. It mostly does
    /// not look there after a trap either: else a trap sees all slots.
    fn forget(&mut self, rng: &mut Rng) {
        for region in 1..4 {
            if rng.u8(..4) != 0 {
                self.forgotten.push(region);
                self.clause(format!("forgets {region}"));
                if rng.u8(..4) != 0 {
                    self.clause(format!("lost-at-trap {region}"));
                }
            }
        }
    }

    fn clause(&mut self, clause: String) {
        self.clauses.push(clause);
    }
}

/// Random effects of a callee.
fn effects(rng: &mut Rng) -> String {
    let mut text = String::new();
    for set in ["reads", "writes", "touches"] {
        if rng.bool() {
            text.push_str(&format!(" {set}"));
            if rng.u8(..12) == 0 {
                text.push_str(" all");
            } else {
                for _ in 0..rng.usize(1..3) {
                    text.push_str(&format!(" {}", rng.u32(1..4)));
                }
            }
        }
    }
    for word in [" traps", " unwinds"] {
        if rng.u8(..3) == 0 {
            text.push_str(word);
        }
    }
    text
}

/// The module of this seed.
pub(super) fn module(seed: u64) -> Module {
    let mut rng = Rng::with_seed(seed);
    let plan = Plan::new(&mut rng);
    let functions = (0..plan.functions).map(|index| body::function(&mut rng, &plan, index));
    Module {
        functions: functions.collect(),
        clauses: plan.clauses.clone(),
    }
}

/// A few inputs for the module of this seed. In some of them pointers of one
/// home are equal, in others they overlap or lie apart.
pub(super) fn inputs(seed: u64, count: usize) -> Vec<Inputs> {
    let plan = Plan::new(&mut Rng::with_seed(seed));
    let mut rng = Rng::with_seed(seed ^ 0x1234_5678);
    let one = |_| {
        let common = 8 * rng.u64(..=MAX_START / 8);
        let mut pointer = |home: usize| {
            let start = match rng.u8(..5) {
                0 | 1 => common,
                2 => common / 2,
                3 => rng.u64(..=MAX_START),
                _ => 8 * rng.u64(..=MAX_START / 8),
            };
            u128::from(VMCTX + layout::home(home) + start)
        };
        let [p, q] = plan.pointers[0].map(&mut pointer);
        Inputs {
            seed: rng.u64(..),
            args: vec![VMCTX.into(), p, q, rng.u64(..6).into()],
            fuel: 1500,
            ..Inputs::default()
        }
    };
    (0..count).map(one).collect()
}
