//! Whether `keep_freed_memory` keeps memory, on the first thread, which the standard test harness never uses.

use tch::{Device, Kind, Tensor};

const NAME: &str = "freed_memory_is_used_again";
const BYTES: u64 = 96 << 20;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        if !args.iter().any(|arg| arg == "--ignored") {
            println!("{NAME}: test");
        }
        return;
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    if filters.is_empty() || filters.iter().any(|filter| NAME.contains(filter.as_str())) {
        freed_memory_is_used_again();
        println!("test {NAME} ... ok");
    }
}

fn freed_memory_is_used_again() {
    let without = faults_of_filling();
    if !bridge::keep_freed_memory() {
        return; // not Linux with glibc: nothing is promised
    }
    faults_of_filling();
    let with = faults_of_filling();
    // A page is 4 KiB, or larger where the system merges pages.
    assert!(with * 10 < without, "{with} page faults with and {without} without");
}

/// Page faults while a tensor above every mmap threshold of glibc is made, filled and dropped.
fn faults_of_filling() -> u64 {
    let before = minor_faults();
    drop(Tensor::ones([BYTES as i64], (Kind::Uint8, Device::Cpu)));
    minor_faults() - before
}

/// Page faults of this process so far: the tenth number of its `stat`. 0 where there is none.
fn minor_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(7)?.parse().ok()).unwrap_or(0)
}
