//! The nets that have to catch a mistake in the passes, each at fixed seeds.

use crate::campaign::settings;
use crate::compare::{Mode, Setting, Verdict, compare, host_isa, optimize};
use crate::filetests::{self, Filetests};
use crate::generate;
use memopt_check::Checking;
use std::path::Path;
use std::sync::OnceLock;

/// Inputs of each module.
const INPUTS: usize = 4;
/// Inputs of a filetest that is not mutated.
const FILETEST_INPUTS: u64 = 512;

/// What a net has caught.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Haul {
    /// Cases in which the passes were seen to be wrong.
    pub caught: u64,
    /// Cases that were looked at.
    pub cases: u64,
}

/// Something that sees that the passes are wrong.
pub struct Net {
    /// What it is called.
    pub name: &'static str,
    /// Is something wrong in the case of this seed?
    pub is_caught: fn(seed: u64) -> bool,
    /// It may also catch what is right. A case counts only if it is not caught
    /// without the mistake.
    pub catches_right_ones: bool,
}

/// All nets.
pub const ALL: &[Net] = &[
    Net {
        name: "generated",
        is_caught: generated,
        catches_right_ones: false,
    },
    Net {
        name: "filetests",
        is_caught: mutated_filetest,
        catches_right_ones: false,
    },
    Net {
        name: "checker",
        is_caught: refused,
        catches_right_ones: true,
    },
];

impl Net {
    /// Looks at the first cases, at least so many, and while it has caught
    /// nothing at most so many. `is_caught_anyway` says of a case whether it is
    /// caught without the mistake.
    pub fn haul(&self, least: u64, most: u64, is_caught_anyway: impl Fn(u64) -> bool) -> Haul {
        cast(least, most, |seed| self.has(seed, &is_caught_anyway))
    }

    fn has(&self, seed: u64, is_caught_anyway: &impl Fn(u64) -> bool) -> bool {
        (self.is_caught)(seed) && !(self.catches_right_ones && is_caught_anyway(seed))
    }
}

/// Has `nets` look at the same cases in turns, at most so many, until one of them has
/// caught something; one haul for each. `is_caught_anyway` as for [`Net::haul`].
pub fn until_caught(
    nets: &[Net],
    most: u64,
    is_caught_anyway: impl Fn(&Net, u64) -> bool,
) -> Vec<Haul> {
    let mut hauls = vec![Haul::default(); nets.len()];
    for seed in 0..most {
        for (net, haul) in nets.iter().zip(&mut hauls) {
            haul.cases += 1;
            haul.caught += u64::from(net.has(seed, &|seed| is_caught_anyway(net, seed)));
            if haul.caught > 0 {
                return hauls;
            }
        }
    }
    hauls
}

/// Generated modules, before against after.
fn generated(seed: u64) -> bool {
    let isa = host_isa();
    let module = generate::module(seed);
    let inputs = generate::inputs(seed, INPUTS);
    settings(seed).into_iter().any(|setting| {
        let setting = Setting {
            checking: Checking::Off,
            native: false,
            ..setting
        };
        is_caught(&compare(&module, &inputs, &*isa, &setting))
    })
}

/// The project's filetests, changed a little.
fn mutated_filetest(seed: u64) -> bool {
    static FILETESTS: OnceLock<Option<Filetests>> = OnceLock::new();
    let read = || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filetests");
        Filetests::read(&folder).ok()
    };
    let Some(filetests) = FILETESTS.get_or_init(read) else {
        return false;
    };
    let isa = host_isa();
    let module = filetests.of_seed(seed, &*isa);
    let inputs = filetests::inputs(&module, seed, INPUTS);
    is_caught(&compare(&module, &inputs, &*isa, &Setting::plain()))
}

/// Generated modules, of which the checker refuses what became of a function.
fn refused(seed: u64) -> bool {
    let isa = host_isa();
    let module = generate::module(seed);
    let Ok(policy) = module.policy() else {
        return false;
    };
    settings(seed).iter().any(|setting| {
        match optimize(&module.functions, &*isa, &policy, setting) {
            Ok((_, stats)) => stats.iter().any(|stats| stats.refused > 0),
            // What else may go wrong is for the other nets.
            Err(_) => false,
        }
    })
}

/// One filetest as it is, given by its path from the root of the repository; each
/// case is another input, alone and behind the mid-end.
pub fn filetest(path: &str) -> Haul {
    let isa = host_isa();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let Some(module) = filetests::module(&text) else {
        return Haul::default();
    };
    cast(FILETEST_INPUTS, FILETEST_INPUTS, |seed| {
        let inputs = filetests::inputs(&module, seed, 1);
        let modes = [Mode::Alone, Mode::BehindMidEnd].into_iter();
        let mut settings = modes.map(|mode| Setting {
            mode,
            ..Setting::plain()
        });
        settings.any(|setting| is_caught(&compare(&module, &inputs, &*isa, &setting)))
    })
}

/// That the passes do not settle is a defect, but changes no meaning.
fn is_caught(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Wrong(failure) => failure.kind.changes_meaning(),
        Verdict::Equal { .. } => false,
    }
}

fn cast(least: u64, most: u64, is_caught: impl Fn(u64) -> bool) -> Haul {
    let mut haul = Haul::default();
    for seed in 0..most {
        if seed >= least && haul.caught > 0 {
            break;
        }
        haul.cases += 1;
        haul.caught += u64::from(is_caught(seed));
    }
    haul
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nets_take_turns_until_one_has_caught_something() {
        let net = |name, is_caught| Net {
            name,
            is_caught,
            catches_right_ones: name == "eager",
        };
        let nets = [
            net("late", |seed| seed == 7),
            net("eager", |seed| seed == 2 || seed == 5),
        ];
        let cases = |hauls: Vec<Haul>| -> Vec<(u64, u64)> {
            hauls.iter().map(|haul| (haul.caught, haul.cases)).collect()
        };
        let none = until_caught(&nets, 2, |_, _| false);
        assert_eq!(cases(none), [(0, 2), (0, 2)]);
        // What is caught at 2 is caught anyway.
        let found = until_caught(&nets, 100, |_, seed| seed == 2);
        assert_eq!(cases(found), [(0, 6), (1, 6)]);
    }

    #[test]
    fn a_net_goes_on_until_it_has_caught_something() {
        let haul = cast(5, 100, |seed| seed == 2 || seed == 30);
        assert_eq!((haul.caught, haul.cases), (1, 5));
        let haul = cast(5, 100, |seed| seed == 30);
        assert_eq!((haul.caught, haul.cases), (1, 31));
        let haul = cast(5, 100, |_| false);
        assert_eq!((haul.caught, haul.cases), (0, 100));
    }
}
