//! The table of passes.

use crate::memopt::search::{CleanUp, Pass};
use alloc::vec::Vec;

/// What a pass does that concerns all paths.
const PASS: Pass = Pass {
    name: "",
    find: |_| Vec::new(),
    on_paths: false,
    with_next: false,
    again_at_once: false,
    clean_up: CleanUp::Code,
};

/// What one does that concerns some paths and not others.
#[cfg(memopt_paths)]
const ON_PATHS: Pass = Pass {
    on_paths: true,
    clean_up: CleanUp::Paths,
    ..PASS
};

/// The passes, in the order in which they are tried.
pub(super) const PASSES: &[Pass] = &[
    Pass {
        name: "load-store",
        find: |search| search.load_store(),
        with_next: true,
        ..PASS
    },
    Pass {
        name: "branches",
        find: |search| search.branches(),
        ..PASS
    },
    Pass {
        name: "dead-stores",
        find: |search| search.dead_stores(),
        ..PASS
    },
    Pass {
        name: "dead-slots",
        find: |search| search.dead_slots(),
        clean_up: CleanUp::Nothing,
        ..PASS
    },
    #[cfg(memopt_paths)]
    THREADING,
    #[cfg(memopt_paths)]
    Pass {
        name: "pre",
        find: |search| search.pre(),
        again_at_once: true,
        ..ON_PATHS
    },
    #[cfg(memopt_paths)]
    Pass {
        name: "hoist",
        find: |search| search.hoist(),
        again_at_once: true,
        ..ON_PATHS
    },
    #[cfg(memopt_paths)]
    Pass {
        name: "sink-stores",
        find: |search| search.sink_stores(),
        again_at_once: true,
        clean_up: CleanUp::SunkStores,
        ..ON_PATHS
    },
    #[cfg(memopt_paths)]
    SINK_VALUES,
    #[cfg(memopt_paths)]
    Pass {
        name: "carry",
        find: |search| search.carry(),
        again_at_once: true,
        ..ON_PATHS
    },
    #[cfg(memopt_paths)]
    Pass {
        name: "turn",
        find: |search| search.turn(),
        ..ON_PATHS
    },
];

/// Loads and stores become one when nothing else is found, since half of one may be dead, or go
/// elsewhere.
pub(super) const JOIN_NEIGHBOURS: &[Pass] = &[
    Pass {
        name: "combine-loads",
        find: |search| search.combine_loads(),
        ..PASS
    },
    Pass {
        name: "merge-stores",
        find: |search| search.merge_stores(),
        ..PASS
    },
];

/// What slots keep for nobody but themselves is looked for when nothing else is found.
pub(super) const OWN_SLOTS: &[Pass] = &[Pass {
    name: "own-slots",
    find: |search| search.own_slots(),
    ..PASS
}];

/// Slots that are copied to others are put there when nothing else is found: what is copied may
/// become values, or come from elsewhere.
pub(super) const COALESCE_SLOTS: &[Pass] = &[Pass {
    name: "coalesced-slots",
    find: |search| search.coalesced_slots(),
    clean_up: CleanUp::Nothing,
    ..PASS
}];

/// Slots get other places last of all: what is in one place may be several of them.
pub(super) const PACK_SLOTS: &[Pass] = &[
    Pass {
        name: "shrunk-slots",
        find: |search| search.shrunk_slots(),
        clean_up: CleanUp::Nothing,
        ..PASS
    },
    Pass {
        name: "shared-slots",
        find: |search| search.shared_slots(),
        clean_up: CleanUp::Nothing,
        ..PASS
    },
];

/// Branches that some paths determine.
#[cfg(memopt_paths)]
pub(super) const THREADING: Pass = Pass {
    name: "threading",
    find: |search| search.threading(),
    ..ON_PATHS
};

/// What feeds stores that have moved follows them.
#[cfg(memopt_paths)]
pub(super) const SINK_VALUES: Pass = Pass {
    name: "sink-values",
    find: |search| search.sink_values(),
    ..ON_PATHS
};
