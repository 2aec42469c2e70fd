//! What the process itself takes, under the names that Prometheus' own clients give it.

use std::fs;

use crate::metrics::{Kind, Reading};

/// Processor time, memory, descriptors, threads and the time of the start; what the system does not tell is left out.
pub(crate) fn readings() -> Vec<Reading> {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let descriptors = fs::read_dir("/proc/self/fd").map(|entries| entries.count() as f64).ok();
    let named = |kind, name, help, value: Option<f64>| {
        value.map(|value| Reading { kind, name, help, values: vec![(String::new(), value)] })
    };
    let stat = Stat::read(&stat);
    let of = |value: fn(&Stat) -> f64| stat.as_ref().map(value);
    let all = [
        named(Kind::Counter, "process_cpu_seconds_total", "Processor time, in seconds.", of(|stat| stat.seconds)),
        named(Kind::Gauge, "process_resident_memory_bytes", "Resident memory.", of(|stat| stat.memory)),
        named(Kind::Gauge, "process_threads", "Threads.", of(|stat| stat.threads)),
        named(
            Kind::Gauge,
            "process_start_time_seconds",
            "When the process was started, in seconds since 1970.",
            stat.as_ref().and_then(Stat::start),
        ),
        named(Kind::Gauge, "process_open_fds", "Open file descriptors.", descriptors),
    ];
    all.into_iter().flatten().collect()
}

/// What `/proc/self/stat` says (proc(5)).
#[derive(Debug, PartialEq)]
struct Stat {
    seconds: f64,
    memory: f64,
    threads: f64,
    /// Seconds from the system's start to the process's.
    after_boot: f64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The name of the program may hold anything; what follows its last bracket is counted from field 3.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let page = rustix::param::page_size() as f64;
        Some(Self {
            seconds: (field(14)? + field(15)?) / ticks,
            threads: field(20)?,
            after_boot: field(22)? / ticks,
            memory: field(24)? * page,
        })
    }

    fn start(&self) -> Option<f64> {
        let system = fs::read_to_string("/proc/stat").ok()?;
        let boot = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
        Some(boot + self.after_boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_read_as_it_is_documented() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 12 0 900 1000 33 99";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let page = rustix::param::page_size() as f64;
        let expected = Stat { seconds: 300.0 / ticks, threads: 12.0, after_boot: 900.0 / ticks, memory: 33.0 * page };
        assert_eq!(Stat::read(text), Some(expected));
        assert_eq!(Stat::read("7 (a"), None);
        let names: Vec<&str> = readings().iter().map(|reading| reading.name).collect();
        assert!(cfg!(not(target_os = "linux")) || names.len() == 5, "{names:?}");
    }
}
