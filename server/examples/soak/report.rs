//! The table at the end, and which limits are kept.

use super::{run::Run, sample::Sample, tally::Counts, trend::Trend};

/// Hours below which memory is not judged: a slope of so short a time says nothing about an hour.
const SHORTEST: f64 = 0.5;

/// What a run is held to.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Bytes an hour by which memory may grow.
    pub growth: f64,
    /// Share of the time at the start that is not judged.
    pub warm_up: f64,
}

/// A column of the samples.
struct Column {
    name: &'static str,
    value: fn(&Sample) -> f64,
    /// How many of the unit of a sample make one of the table.
    unit: f64,
    limit: Limit,
}

/// What a column is held to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    Growth,
    Constant,
    None,
}

const MEGABYTE: f64 = 1e6;
static COLUMNS: [Column; 5] = [
    Column { name: "resident, MB", value: |one| one.resident as f64, unit: MEGABYTE, limit: Limit::Growth },
    Column { name: "anonymous, MB", value: |one| one.anonymous as f64, unit: MEGABYTE, limit: Limit::Growth },
    Column { name: "proportional, MB", value: |one| one.proportional as f64, unit: MEGABYTE, limit: Limit::None },
    Column { name: "threads", value: |one| one.threads as f64, unit: 1.0, limit: Limit::Constant },
    Column { name: "descriptors", value: |one| one.descriptors as f64, unit: 1.0, limit: Limit::Constant },
];

/// What is to be said of a run, and whether it kept every limit.
pub struct Report {
    pub text: String,
    pub is_kept: bool,
}

impl Report {
    /// Judges a run.
    pub fn of(run: &Run, limits: Limits) -> Self {
        let mut lines = traffic(&run.counts);
        let end = run.samples.last().map_or(0.0, |last| last.hours);
        let judged: Vec<&Sample> = run.samples.iter().filter(|one| one.hours > end * limits.warm_up).collect();
        lines.push(String::new());
        lines.push(format!(
            "{} quiet moments in {:.1} minutes; judged are the last {}, from minute {:.1} on",
            run.samples.len(),
            end * 60.0,
            judged.len(),
            judged.first().map_or(0.0, |first| first.hours * 60.0),
        ));
        lines.push(row(["", "first", "judged from", "last", "least", "most", "change an hour"].map(str::to_owned)));
        lines.extend(COLUMNS.iter().map(|column| column.row(run.samples.first(), &judged)));
        lines.push(String::new());
        let verdicts: Vec<(bool, String)> = COLUMNS
            .iter()
            .filter_map(|column| column.verdict(&judged, end, limits))
            .chain([answers(&run.counts)])
            .collect();
        lines.extend(
            verdicts.iter().map(|(is_kept, text)| format!("{}: {text}", if *is_kept { "kept" } else { "BROKEN" })),
        );
        lines.extend(run.counts.told.iter().map(|told| format!("  {told}")));
        Self { text: lines.join("\n"), is_kept: verdicts.iter().all(|(is_kept, _)| *is_kept) }
    }
}

fn row(cells: [String; 7]) -> String {
    let [name, numbers @ ..] = cells;
    let numbers: String = numbers.iter().map(|number| format!("{number:>16}")).collect();
    format!("{name:<18}{numbers}").trim_end().to_owned()
}

fn traffic(counts: &Counts) -> Vec<String> {
    let mut lines = vec![format!("{:<28}{:>12}{:>14}", "", "done", "without room")];
    for (group, count) in &counts.groups {
        lines.push(format!("{:<28}{:>12}{:>14}", group.name(), count.done, count.without_room));
    }
    lines
}

fn answers(counts: &Counts) -> (bool, String) {
    (
        counts.failures == 0,
        format!("answers that are not as they should be: {}, of which there may be none", counts.failures),
    )
}

impl Column {
    fn values(&self, samples: &[&Sample]) -> Vec<f64> {
        samples.iter().map(|one| (self.value)(one) / self.unit).collect()
    }

    fn trend(&self, samples: &[&Sample]) -> Option<Trend> {
        let pairs: Vec<(f64, f64)> =
            samples.iter().zip(self.values(samples)).map(|(one, value)| (one.hours, value)).collect();
        Trend::of(&pairs)
    }

    fn row(&self, first: Option<&Sample>, judged: &[&Sample]) -> String {
        let values = self.values(judged);
        let digits: usize = if self.unit > 1.0 { 2 } else { 0 };
        let cell = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        let change = self.trend(judged).map(|Trend { slope, error }| format!("{slope:+.2} ± {error:.2}"));
        row([
            self.name.to_owned(),
            cell(first.map(|first| (self.value)(first) / self.unit)),
            cell(values.first().copied()),
            cell(values.last().copied()),
            cell(values.iter().copied().reduce(f64::min)),
            cell(values.iter().copied().reduce(f64::max)),
            change.unwrap_or("-".to_owned()),
        ])
    }

    /// Whether its limit is kept, and which one that is; `None` without a limit.
    fn verdict(&self, judged: &[&Sample], hours: f64, limits: Limits) -> Option<(bool, String)> {
        let name = self.name;
        match self.limit {
            Limit::None => None,
            Limit::Constant => {
                let values = self.values(judged);
                Some((
                    !values.is_empty() && values.windows(2).all(|pair| pair[0] == pair[1]),
                    format!("{name} at quiet moments, which have to be the same"),
                ))
            }
            Limit::Growth if hours < SHORTEST => Some((
                true,
                format!("{name}: not judged, because less than {:.0} minutes say nothing", SHORTEST * 60.0),
            )),
            Limit::Growth => {
                let most = limits.growth / self.unit;
                Some(match self.trend(judged) {
                    Some(Trend { slope, .. }) => {
                        (slope <= most, format!("{name}: {slope:+.2} an hour, of which at most {most:.2} are allowed"))
                    }
                    None => (false, format!("{name}: there are too few quiet moments to judge")),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::{Group, Tally};
    use super::*;

    /// Samples of an hour: 20 MB that become 30 in the first half, and then grow by so many bytes an hour.
    fn samples(growth: f64) -> Vec<Sample> {
        let at = |minute: u32| {
            let hours = f64::from(minute) / 60.0;
            let memory = (20e6 + 20e6 * hours.min(0.5) + growth * (hours - 0.5).max(0.0)) as u64;
            Sample {
                hours,
                requests: 0,
                resident: memory,
                anonymous: memory,
                proportional: memory,
                threads: 9,
                descriptors: 30,
            }
        };
        (0..=60).map(at).collect()
    }

    const LIMITS: Limits = Limits { growth: 1e6, warm_up: 0.5 };

    fn report(samples: Vec<Sample>, counts: Counts) -> Report {
        Report::of(&Run { samples, counts }, LIMITS)
    }

    #[test]
    fn memory_may_grow_by_the_limit_after_the_warm_up_and_not_by_more() {
        let kept = report(samples(0.9e6), Counts::default());
        assert!(kept.is_kept && kept.text.contains("+0.90"), "{}", kept.text);
        let broken = report(samples(1.1e6), Counts::default());
        assert!(!broken.is_kept && broken.text.contains("BROKEN: resident, MB: +1.10"), "{}", broken.text);
        let short = report(samples(60e6).into_iter().take(20).collect(), Counts::default());
        assert!(short.is_kept && short.text.contains("not judged"), "{}", short.text);
    }

    #[test]
    fn a_thread_or_a_descriptor_more_breaks_the_limit() {
        for change in [|one: &mut Sample| one.threads += 1, |one: &mut Sample| one.descriptors += 1] {
            let mut early = samples(0.0);
            change(&mut early[10]);
            assert!(report(early, Counts::default()).is_kept, "in the warm-up");
            let mut late = samples(0.0);
            change(&mut late[50]);
            assert!(!report(late, Counts::default()).is_kept);
        }
    }

    #[test]
    fn one_wrong_answer_breaks_the_limit_and_is_told() {
        let tally = Tally::default();
        tally.count(Group::Infer, "pixels", Err("status 500".to_owned()));
        let broken = report(samples(0.0), tally.counts());
        assert!(!broken.is_kept && broken.text.contains("V2 inference: pixels: status 500"), "{}", broken.text);
    }
}
