//! Throws every net over one planted mistake. Inserted into a copy of the
//! sources; prints one line for each net: its name, what it caught, of how many.
//! With no least number of cases the nets take turns, and the first that catches it
//! is enough.

use cranelift_memopt::planted::switch_on;
use memopt_trace::nets::{self, Haul, Net};

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = || args.next().and_then(|arg| arg.parse::<u64>().ok());
    let (Some(mistake), Some(least), Some(most)) = (number(), number(), number()) else {
        panic!("nets MISTAKE LEAST MOST");
    };
    switch_on(mistake as usize);
    // What panics is caught, and need not say so.
    std::panic::set_hook(Box::new(|_| {}));
    let is_caught_anyway = |net: &Net, seed| {
        switch_on(0);
        let is_caught = (net.is_caught)(seed);
        switch_on(mistake as usize);
        is_caught
    };
    let hauls: Vec<Haul> = if least == 0 {
        nets::until_caught(nets::ALL, most, is_caught_anyway)
    } else {
        let hauls = nets::ALL.iter();
        hauls
            .map(|net| net.haul(least, most, |seed| is_caught_anyway(net, seed)))
            .collect()
    };
    for (net, haul) in nets::ALL.iter().zip(hauls) {
        println!("{}\t{}\t{}", net.name, haul.caught, haul.cases);
    }
    if let Some(file) = args.next() {
        let haul = nets::filetest(&file);
        println!("its filetest\t{}\t{}", haul.caught, haul.cases);
    }
}
