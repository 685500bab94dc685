//! What a program as machine code calls of its surroundings.
//!
//! The machine executes accesses and arithmetic; whatever the interpreter does
//! besides is a call out of the program: frames begin and end, the world is shown
//! memory, traps and exceptions are noted. Both are over when a call comes back:
//! the program looks whether something is [`Header::pending`], and leaves as well.

use super::pages::{self, Pages};
use crate::inputs::Inputs;
use crate::layout;
use crate::memory::{Memory, Reach};
use crate::trace::{self, End, Trace};
use crate::world::{Reply, SlotRegions, Temper, World};
use cranelift_codegen::ir::{Function, TrapCode};
use cranelift_memopt::CalleeName;
use memopt_policy::DeclaredPolicy;
use std::collections::HashMap;
use std::num::NonZeroU8;

/// What the program reads and writes itself.
#[repr(C)]
#[derive(Default)]
pub struct Header {
    /// Where accesses go that are not made where they say, see
    /// [`super::lower`].
    pub scratch: u128,
    /// Does a call come back without a result? [`THROWN`] or [`ENDED`].
    pub pending: u64,
    /// The tag of the exception.
    pub tag: u64,
    /// Its payload.
    pub payload: u64,
}

/// An exception looks for its handler.
pub const THROWN: u64 = 1;
/// The program has trapped.
pub const ENDED: u64 = 2;

/// What surrounds one instruction.
#[derive(Default)]
pub struct Site {
    /// The name of its opcode, if it is a point.
    pub what: &'static str,
    /// How many operands a point has.
    pub operands: usize,
    /// Where it is, for whoever walks the stack.
    pub here: Option<trace::Site>,
    /// Slots that its debug tags name.
    pub named: Vec<u32>,
    /// Slot, offset and size of the cells that its stack map names.
    pub cells: Vec<(u32, u32, usize)>,
}

/// The surroundings of a program.
#[repr(C)]
pub struct Outside<'a> {
    /// First, so that its address is that of the whole.
    pub header: Header,
    /// The functions as they were before they were lowered.
    pub functions: &'a [Function],
    /// The functions of the host, by number.
    pub hosts: Vec<CalleeName>,
    /// What surrounds instructions, by number.
    pub sites: Vec<Site>,
    /// The machine code at the address that each function is said to have.
    pub code: HashMap<u64, u64>,
    policy: &'a DeclaredPolicy,
    slot_regions: &'a SlotRegions,
    memory: Memory,
    world: World<'a>,
    end: Option<End>,
    /// Where the slots of each frame lie, as long as the run lasts.
    frames: Vec<Vec<u64>>,
    pages: Pages,
}

impl<'a> Outside<'a> {
    /// Surroundings in which nothing has run.
    pub fn new(
        functions: &'a [Function],
        policy: &'a DeclaredPolicy,
        slot_regions: &'a SlotRegions,
    ) -> Self {
        let inputs = Inputs::default();
        Self {
            header: Header::default(),
            functions,
            hosts: Vec::new(),
            sites: Vec::new(),
            code: HashMap::new(),
            policy,
            slot_regions,
            memory: Memory::new(0, inputs.heap.clone()),
            world: World::new(policy, slot_regions, &inputs, Temper::Destructive),
            end: None,
            frames: Vec::new(),
            pages: Pages::default(),
        }
    }

    /// Makes everything ready for a run.
    pub fn begin(&mut self, inputs: &Inputs) {
        self.header = Header::default();
        self.memory = Memory::new(inputs.seed, inputs.heap.clone());
        self.world = World::new(self.policy, self.slot_regions, inputs, Temper::Destructive);
        self.end = None;
        self.frames.clear();
        self.pages.clear();
        pages::put_read_only(&self.memory);
        pages::put_all(&self.memory);
    }

    /// What has been observed, `value` being what the entry has returned.
    pub fn finish(&mut self, value: u64) -> Trace {
        pages::take_all(&mut self.memory);
        let end = match (self.end.take(), self.header.pending) {
            (Some(end), _) => end,
            (None, THROWN) => {
                let (tag, payload) = (self.header.tag as u32, self.header.payload);
                End::Exception(tag, payload, self.world.at_trap(&self.memory))
            }
            (None, _) => End::Return(vec![value.into()], self.world.at_return(&self.memory)),
        };
        self.pages.clear();
        Trace {
            events: core::mem::take(&mut self.world.events),
            end,
        }
    }

    /// Has the world see memory as the machine has left it, and the machine as the
    /// world has.
    fn show<R>(&mut self, look: impl FnOnce(&mut World<'a>, &mut Memory) -> R) -> R {
        pages::take_all(&mut self.memory);
        let result = look(&mut self.world, &mut self.memory);
        pages::put_all(&self.memory);
        result
    }

    fn enter(&mut self, function: usize) -> u64 {
        let func = &self.functions[function];
        self.memory.push_frame(function, func);
        let Some(frame) = self.memory.frames.last() else {
            return 0;
        };
        let slots = 0..frame.slots.len() as u32;
        let slots = slots.map(|slot| layout::slot_address(frame.ordinal, slot));
        let slots: Vec<u64> = slots.collect();
        for address in &slots {
            self.pages.map_slot(*address);
        }
        let address = slots.as_ptr() as u64;
        self.frames.push(slots);
        if let Some(frame) = self.memory.frames.last() {
            pages::put_frame(frame);
        }
        address
    }

    fn host(&mut self, host: usize, args: &[u128]) -> u64 {
        let name = self.hosts[host].clone();
        match self.show(|world, memory| world.host(memory, &name, args)) {
            Reply::Return(value) => value,
            Reply::Throw(tag, payload) => {
                self.header.pending = THROWN;
                self.header.tag = tag.into();
                self.header.payload = payload;
                0
            }
            Reply::Trap(code) => self.trap(code),
        }
    }

    fn trap(&mut self, code: TrapCode) -> u64 {
        let seen = self.show(|world, memory| world.at_trap(memory));
        self.end = Some(End::Trap(code, seen));
        self.header.pending = ENDED;
        0
    }

    fn collect(&mut self, site: usize) {
        let Some(frame) = self.memory.frames.last() else {
            return;
        };
        let ordinal = frame.ordinal;
        let cells = core::mem::take(&mut self.sites[site].cells);
        self.show(|world, memory| {
            for (slot, offset, bytes) in &cells {
                let address = layout::slot_address(ordinal, *slot) + u64::from(*offset);
                world.collect(memory, address, *bytes);
            }
        });
        self.sites[site].cells = cells;
    }

    fn name(&mut self, site: usize) {
        let site = &self.sites[site];
        if let Some(frame) = self.memory.frames.last_mut() {
            frame.named.extend(&site.named);
            frame.site.clone_from(&site.here);
        }
    }

    /// The same, and no longer than the world takes to do something.
    fn point(&mut self, site: usize, args: &[u128]) {
        self.name(site);
        let Site { what, operands, .. } = self.sites[site];
        self.show(|world, memory| world.point(memory, what, &args[..operands]));
        self.forget(site);
    }

    fn forget(&mut self, site: usize) {
        let count = self.sites[site].named.len();
        if let Some(frame) = self.memory.frames.last_mut() {
            frame.named.truncate(frame.named.len() - count);
            frame.site = None;
        }
    }

    fn resolve(&self, address: u64) -> u64 {
        match self.code.get(&address) {
            Some(code) => *code,
            // The interpreter has seen that no run comes here.
            None => panic!("a call of {address:#x}, where no function is"),
        }
    }

    fn bytes_at(address: u64, bytes: u64) -> [u8; 16] {
        let mut found = [0; 16];
        pages::take(address, &mut found[..bytes as usize]);
        found
    }

    fn swap(&mut self, bytes: u64, found: [u8; 16]) -> [u8; 16] {
        let mut swapped = [0; 16];
        let bytes = bytes as usize;
        for at in 0..bytes {
            swapped[at] = found[bytes - 1 - at];
        }
        swapped
    }
}

/// The calls, each with its number of arguments besides the surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A frame of this function begins; returns where its slots' addresses lie.
    Enter,
    /// The last frame ends.
    Leave,
    /// A host function: number and four arguments.
    Host,
    /// The world may do anything: site, and three operands.
    Point,
    /// The collector comes by: site.
    Collect,
    /// The frame waits at a site, where debug tags name slots.
    Name,
    /// It waits no longer: site.
    Forget,
    /// The machine code of the function at an address.
    Resolve,
    /// Is there nothing at these bytes? Address and size.
    Outside,
    /// A trap: code.
    Trap,
    /// A load from asynchronous memory into the scratch: address and size.
    AsynchronousLoad,
    /// A store to asynchronous memory from the scratch: address and size.
    AsynchronousStore,
    /// A load in the other byte order into the scratch: address and size.
    SwappedLoad,
    /// A store in the other byte order from the scratch: address and size.
    SwappedStore,
}

impl Call {
    /// Where its code lies.
    pub fn address(self) -> u64 {
        match self {
            Self::Enter => enter as *const () as u64,
            Self::Leave => leave as *const () as u64,
            Self::Host => host as *const () as u64,
            Self::Point => point as *const () as u64,
            Self::Collect => collect as *const () as u64,
            Self::Name => name as *const () as u64,
            Self::Forget => forget as *const () as u64,
            Self::Resolve => resolve as *const () as u64,
            Self::Outside => outside as *const () as u64,
            Self::Trap => trap as *const () as u64,
            Self::AsynchronousLoad => asynchronous_load as *const () as u64,
            Self::AsynchronousStore => asynchronous_store as *const () as u64,
            Self::SwappedLoad => swapped_load as *const () as u64,
            Self::SwappedStore => swapped_store as *const () as u64,
        }
    }
}

/// The surroundings of the caller.
///
/// # Safety
///
/// The program passes the address that it was lowered with, of surroundings that
/// live, and that nobody else looks at while it runs.
unsafe fn here<'o>(outside: u64) -> &'o mut Outside<'static> {
    // SAFETY: the caller's.
    unsafe { &mut *(outside as *mut Outside<'static>) }
}

/// Declares functions of the C calling convention, which a lowered program calls
/// with its own surroundings.
macro_rules! calls {
    ($(fn $name:ident($here:ident $(, $arg:ident)*) $body:block)*) => {
        $(
            extern "C" fn $name($here: u64 $(, $arg: u64)*) -> u64 {
                // SAFETY: only lowered programs call this, see `here`.
                let $here = unsafe { here($here) };
                $body
            }
        )*
    };
}

calls! {
    fn enter(here, function) { here.enter(function as usize) }
    fn leave(here) { here.memory.frames.pop(); 0 }
    fn host(here, number, a, b, c, d) {
        here.host(number as usize, &[a, b, c, d].map(u128::from))
    }
    fn point(here, site, a, b, c) {
        here.point(site as usize, &[a, b, c].map(u128::from));
        0
    }
    fn collect(here, site) { here.collect(site as usize); 0 }
    fn name(here, site) { here.name(site as usize); 0 }
    fn forget(here, site) { here.forget(site as usize); 0 }
    fn resolve(here, address) { here.resolve(address) }
    fn outside(here, address, bytes) {
        (!matches!(here.memory.reach(address, bytes as usize), Reach::Plain)).into()
    }
    fn trap(here, code) {
        let code = NonZeroU8::new(code as u8).map(TrapCode::from_raw);
        here.trap(code.expect("the code of a trap"))
    }
    fn asynchronous_load(here, address, bytes) {
        here.header.scratch = here.world.asynchronous_load(address, bytes as usize);
        0
    }
    fn asynchronous_store(here, address, bytes) {
        let stored = here.header.scratch.to_le_bytes()[..bytes as usize].to_vec();
        here.world.asynchronous_store(address, stored);
        0
    }
    fn swapped_load(here, address, bytes) {
        let found = Outside::bytes_at(address, bytes);
        here.header.scratch = u128::from_le_bytes(here.swap(bytes, found));
        0
    }
    fn swapped_store(here, address, bytes) {
        let swapped = here.swap(bytes, here.header.scratch.to_le_bytes());
        pages::put(address, &swapped[..bytes as usize]);
        0
    }
}
