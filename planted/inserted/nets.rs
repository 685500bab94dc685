//! Throws every net over one planted mistake. Inserted into a copy of the
//! sources; prints one line for each net: its name, what it caught, of how many.
//! With no least number of cases, the first net that catches it is enough.

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = || args.next().and_then(|arg| arg.parse::<u64>().ok());
    let (Some(mistake), Some(least), Some(most)) = (number(), number(), number()) else {
        panic!("nets MISTAKE LEAST MOST");
    };
    cranelift_memopt::planted::switch_on(mistake as usize);
    // What panics is caught, and need not say so.
    std::panic::set_hook(Box::new(|_| {}));
    for net in memopt_trace::nets::ALL {
        let haul = net.haul(least, most, |seed| {
            cranelift_memopt::planted::switch_on(0);
            let is_caught = (net.is_caught)(seed);
            cranelift_memopt::planted::switch_on(mistake as usize);
            is_caught
        });
        println!("{}\t{}\t{}", net.name, haul.caught, haul.cases);
        if least == 0 && haul.caught > 0 {
            break;
        }
    }
    if let Some(file) = args.next() {
        let haul = memopt_trace::nets::filetest(&file);
        println!("its filetest\t{}\t{}", haul.caught, haul.cases);
    }
}
