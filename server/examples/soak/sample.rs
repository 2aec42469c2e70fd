//! What the server's process takes, as the system tells it (proc(5)).

use std::fs;

use anyhow::Context;
use serde_json::{Value, json};

/// Readings of one quiet moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Hours since the start.
    pub hours: f64,
    /// Requests of all clients until then.
    pub requests: u64,
    /// Resident memory, in bytes, pages of files included.
    pub resident: u64,
    /// Memory that is the process's own, in bytes, what is swapped out included.
    pub anonymous: u64,
    /// Resident memory, in bytes, of which every page that others share counts for a part.
    pub proportional: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub descriptors: u64,
}

impl Sample {
    /// Reads what a process takes now.
    ///
    /// # Errors
    /// A process that has ended, and a system that is not Linux.
    pub fn read(process: u32, hours: f64, requests: u64) -> anyhow::Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))
        };
        let (status, rollup) = (read("status")?, read("smaps_rollup")?);
        let folder = format!("/proc/{process}/fd");
        let descriptors = fs::read_dir(&folder).with_context(|| format!("{folder} cannot be read"))?.count() as u64;
        let kilobytes = |text: &str, name: &str| field(text, name).map(|n| n * 1024);
        Ok(Self {
            hours,
            requests,
            // VmRSS of the status is the same, but for what the kernel has not added up yet.
            resident: kilobytes(&rollup, "Rss")?,
            anonymous: kilobytes(&rollup, "Anonymous")? + kilobytes(&rollup, "Swap")?,
            proportional: kilobytes(&rollup, "Pss")?,
            threads: field(&status, "Threads")?,
            descriptors,
        })
    }

    /// As a line of the file of samples.
    pub fn to_json(&self) -> Value {
        let Self { hours, requests, resident, anonymous, proportional, threads, descriptors } = self;
        json!({
            "hours": hours, "requests": requests, "resident": resident, "anonymous": anonymous,
            "proportional": proportional, "threads": threads, "descriptors": descriptors,
        })
    }
}

fn field(text: &str, name: &str) -> anyhow::Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("the system does not tell {name} of the process"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_of_this_process() {
        let sample = Sample::read(std::process::id(), 0.5, 7).unwrap();
        assert!(
            sample.anonymous > 0 && sample.proportional > 0 && sample.resident > sample.anonymous / 2,
            "{sample:?}"
        );
        assert!(sample.threads > 0 && sample.descriptors > 2, "{sample:?}");
        assert_eq!((sample.hours, sample.requests), (0.5, 7));
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "Pss_Dirty:  3 kB\nPss:   12 kB\nThreads:\t4\n";
        assert_eq!(field(text, "Pss").unwrap(), 12);
        assert_eq!(field(text, "Threads").unwrap(), 4);
        assert!(field(text, "Swap").is_err());
    }
}
