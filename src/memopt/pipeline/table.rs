//! The table of passes.

use crate::memopt::search::{CleanUp, Pass};

/// The passes, in the order in which they are tried.
pub(super) const PASSES: &[Pass] = &[
    Pass {
        name: "load-store",
        find: |search| search.load_store(),
        on_paths: false,
        with_next: true,
        again_at_once: false,
        clean_up: CleanUp::Code,
    },
    Pass {
        name: "branches",
        find: |search| search.branches(),
        on_paths: false,
        with_next: false,
        again_at_once: false,
        clean_up: CleanUp::Code,
    },
    Pass {
        name: "dead-stores",
        find: |search| search.dead_stores(),
        on_paths: false,
        with_next: false,
        again_at_once: false,
        clean_up: CleanUp::Code,
    },
    Pass {
        name: "dead-slots",
        find: |search| search.dead_slots(),
        on_paths: false,
        with_next: false,
        again_at_once: false,
        clean_up: CleanUp::Nothing,
    },
    #[cfg(memopt_paths)]
    Pass {
        name: "threading",
        find: |search| search.threading(),
        on_paths: true,
        with_next: false,
        again_at_once: false,
        clean_up: CleanUp::Paths,
    },
    #[cfg(memopt_paths)]
    Pass {
        name: "pre",
        find: |search| search.pre(),
        on_paths: true,
        with_next: false,
        again_at_once: true,
        clean_up: CleanUp::Paths,
    },
    #[cfg(memopt_paths)]
    Pass {
        name: "hoist",
        find: |search| search.hoist(),
        on_paths: true,
        with_next: false,
        again_at_once: true,
        clean_up: CleanUp::Paths,
    },
    #[cfg(memopt_paths)]
    Pass {
        name: "sink-stores",
        find: |search| search.sink_stores(),
        on_paths: true,
        with_next: false,
        again_at_once: true,
        clean_up: CleanUp::SunkStores,
    },
    #[cfg(memopt_paths)]
    SINK_VALUES,
    #[cfg(memopt_paths)]
    Pass {
        name: "carry",
        find: |search| search.carry(),
        on_paths: true,
        with_next: false,
        again_at_once: true,
        clean_up: CleanUp::Paths,
    },
    #[cfg(memopt_paths)]
    Pass {
        name: "turn",
        find: |search| search.turn(),
        on_paths: true,
        with_next: false,
        again_at_once: false,
        clean_up: CleanUp::Paths,
    },
];

/// Loads and stores become one when nothing else is found, since half of one may be dead, or go
/// elsewhere.
pub(super) const JOIN_NEIGHBOURS: &[Pass] = &[
    Pass {
        name: "combine-loads",
        find: |search| search.combine_loads(),
        on_paths: false,
        with_next: false,
        again_at_once: false,
        clean_up: CleanUp::Code,
    },
    Pass {
        name: "merge-stores",
        find: |search| search.merge_stores(),
        on_paths: false,
        with_next: false,
        again_at_once: false,
        clean_up: CleanUp::Code,
    },
];

/// What slots keep for nobody but themselves is looked for when nothing else is found.
pub(super) const OWN_SLOTS: &[Pass] = &[Pass {
    name: "own-slots",
    find: |search| search.own_slots(),
    on_paths: false,
    with_next: false,
    again_at_once: false,
    clean_up: CleanUp::Code,
}];

/// Slots get other places last of all: what is in one place may be several of them.
pub(super) const PACK_SLOTS: &[Pass] = &[
    Pass {
        name: "shrunk-slots",
        find: |search| search.shrunk_slots(),
        on_paths: false,
        with_next: false,
        again_at_once: false,
        clean_up: CleanUp::Nothing,
    },
    Pass {
        name: "shared-slots",
        find: |search| search.shared_slots(),
        on_paths: false,
        with_next: false,
        again_at_once: false,
        clean_up: CleanUp::Nothing,
    },
];

/// What feeds stores that have moved follows them.
#[cfg(memopt_paths)]
pub(super) const SINK_VALUES: Pass = Pass {
    name: "sink-values",
    find: |search| search.sink_values(),
    on_paths: true,
    with_next: false,
    again_at_once: false,
    clean_up: CleanUp::Paths,
};
