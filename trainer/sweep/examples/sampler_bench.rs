//! Our side of `scripts/bench/samplers.py`: a whole case, `sampler_bench FUNCTION SAMPLER AT_ONCE TRIALS SEED...`.
//!
//! Minimises a function of known minimum. So many trials run at once: another one is begun when the oldest ends. Prints, as JSON, the
//! simple regret of each seed (the least value less the minimum) and the milliseconds of a suggestion, and the values of the function at
//! points that the peer has to agree on.

use std::collections::VecDeque;
use std::time::Instant;

use indexmap::IndexMap;
use serde_json::{Value, json};
use sweep::sampler::{Sampling, TrialResult, Tried};
use sweep::space::{Branch, Distribution, Point, Space};

/// A function to be minimised.
struct Function {
    space: Space,
    minimum: f64,
    value: fn(&Point) -> f64,
}

/// Functions and their minima from S. Surjanovic and D. Bingham, "Virtual Library of Simulation Experiments".
fn function(name: &str) -> Option<Function> {
    Some(match name {
        "branin" => Function {
            space: space(&[&[("x0", uniform(-5.0, 10.0)), ("x1", uniform(0.0, 15.0))]]),
            minimum: 0.397_887_357_729_738_1,
            value: branin,
        },
        "hartmann3" => Function { space: cube(3, 0.0, 1.0), minimum: -3.862_779_787_332_663, value: hartmann3 },
        "hartmann6" => Function { space: cube(6, 0.0, 1.0), minimum: -3.322_368_011_415_515, value: hartmann6 },
        "ackley5" => Function { space: cube(5, -32.768, 32.768), minimum: 0.0, value: ackley },
        "mixed" => Function { space: mixed_space(), minimum: 0.0, value: mixed },
        _ => return None,
    })
}

fn uniform(low: f64, high: f64) -> Distribution {
    Distribution::Uniform { low, high }
}

fn space(branches: &[&[(&str, Distribution)]]) -> Space {
    let branch = |one: &&[(&str, Distribution)]| Branch {
        parameters: one.iter().map(|(name, d)| ((*name).to_owned(), d.clone())).collect(),
    };
    Space { branches: branches.iter().map(branch).collect() }
}

fn cube(dimensions: usize, low: f64, high: f64) -> Space {
    Space {
        branches: vec![Branch { parameters: (0..dimensions).map(|k| (format!("x{k}"), uniform(low, high))).collect() }],
    }
}

fn number(point: &Point, name: &str) -> f64 {
    point.values.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn numbers(point: &Point) -> Vec<f64> {
    point.values.values().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

fn branin(point: &Point) -> f64 {
    let pi = std::f64::consts::PI;
    let (x, y) = (number(point, "x0"), number(point, "x1"));
    (y - 5.1 / (4.0 * pi * pi) * x * x + 5.0 / pi * x - 6.0).powi(2) + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * x.cos() + 10.0
}

const WEIGHTS: [f64; 4] = [1.0, 1.2, 3.0, 3.2];

/// A sum of four bumps.
fn hartmann<const N: usize>(point: &Point, scales: [[f64; N]; 4], centres: [[f64; N]; 4]) -> f64 {
    let x = numbers(point);
    -(0..4)
        .map(|bump| {
            WEIGHTS[bump] * (-(0..N).map(|k| scales[bump][k] * (x[k] - centres[bump][k]).powi(2)).sum::<f64>()).exp()
        })
        .sum::<f64>()
}

fn hartmann3(point: &Point) -> f64 {
    let scales = [[3.0, 10.0, 30.0], [0.1, 10.0, 35.0], [3.0, 10.0, 30.0], [0.1, 10.0, 35.0]];
    let centres =
        [[0.3689, 0.117, 0.2673], [0.4699, 0.4387, 0.747], [0.1091, 0.8732, 0.5547], [0.0381, 0.5743, 0.8828]];
    hartmann(point, scales, centres)
}

fn hartmann6(point: &Point) -> f64 {
    let scales = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    let centres = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.665],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    hartmann(point, scales, centres)
}

fn ackley(point: &Point) -> f64 {
    let x = numbers(point);
    let mean = |of: fn(f64) -> f64| x.iter().map(|x| of(*x)).sum::<f64>() / x.len() as f64;
    -20.0 * (-0.2 * mean(|x| x * x).sqrt()).exp() - mean(|x| (std::f64::consts::TAU * x).cos()).exp()
        + 20.0
        + std::f64::consts::E
}

/// As a study of two models is: each has a learning rate, which is best elsewhere, and settings of its own.
fn mixed_space() -> Space {
    let rate = || Distribution::LogUniform { low: 1e-5_f64.ln(), high: 0.1_f64.ln() };
    let choice = |names: &[&str]| Distribution::Choice(names.iter().map(|name| json!(name)).collect());
    space(&[
        &[
            ("model", choice(&["small"])),
            ("rate", rate()),
            ("optimizer", choice(&["sgd", "adam", "adamw"])),
            ("layers", Distribution::QUniform { low: 0.5, high: 8.5, step: 1.0 }),
        ],
        &[
            ("model", choice(&["large"])),
            ("rate", rate()),
            ("optimizer", choice(&["sgd", "adam", "adamw"])),
            ("schedule", choice(&["step", "cosine", "linear", "constant"])),
            ("decay", Distribution::LogUniform { low: 1e-6_f64.ln(), high: 0.01_f64.ln() }),
            ("warmup", Distribution::QUniform { low: -0.5, high: 10.5, step: 1.0 }),
        ],
    ])
}

/// The best of the small model is 0.1, which is easier to find than the 0 of the large one.
fn mixed(point: &Point) -> f64 {
    let text = |name: &str| point.values.get(name).and_then(Value::as_str).unwrap_or_default();
    let log = |name: &str| number(point, name).log10();
    if point.branch == 0 {
        let (penalty, best) = match text("optimizer") {
            "sgd" => (0.0, -2.0),
            "adam" => (0.1, -3.0),
            _ => (0.05, -3.0),
        };
        return 0.1 + penalty + 0.25 * (log("rate") - best).powi(2) + 0.02 * (number(point, "layers") - 5.0).powi(2);
    }
    let (penalty, best) = match text("optimizer") {
        "sgd" => (0.2, -1.5),
        "adam" => (0.1, -3.5),
        _ => (0.0, -3.5),
    };
    let schedule = match text("schedule") {
        "step" => 0.15,
        "cosine" => 0.0,
        "linear" => 0.05,
        _ => 0.3,
    };
    let warmup = 0.01 * (number(point, "warmup") - 3.0).powi(2);
    penalty
        + schedule
        + warmup
        + 0.4 * (log("rate") - best).powi(2)
        + 0.1 * (log("decay") + 4.0 + 0.5 * (log("rate") - best)).powi(2)
}

/// What is asked of the command line.
struct Case {
    function: Function,
    sampling: Sampling,
    at_once: usize,
    trials: u64,
}

impl Case {
    /// The least value of each number of trials, less the minimum, and the mean milliseconds of a suggestion.
    fn run(&self, seed: u64) -> (f64, f64) {
        let (mut tried, mut running, mut least, mut seconds) =
            (Vec::<Tried>::new(), VecDeque::new(), f64::INFINITY, 0.0);
        for number in 0..self.trials {
            if running.len() == self.at_once {
                end(&mut running, &mut tried, &self.function);
            }
            let begun = Instant::now();
            let Some(point) = self.sampling.point(&self.function.space, seed, number, &tried) else { break };
            seconds += begun.elapsed().as_secs_f64();
            least = least.min((self.function.value)(&point));
            running.push_back(tried.len());
            tried.push(Tried { number, point, result: TrialResult::Running });
        }
        (least - self.function.minimum, 1000.0 * seconds / self.trials as f64)
    }
}

/// The oldest running trial ends. What is largest is best, so the value is negative.
fn end(running: &mut VecDeque<usize>, tried: &mut [Tried], function: &Function) {
    if let Some(oldest) = running.pop_front() {
        tried[oldest].result = TrialResult::Value(-(function.value)(&tried[oldest].point));
    }
}

/// Points that both sides are asked about, and what they give: in every branch the values at a quarter, half and three quarters.
fn agreed(function: &Function) -> Vec<(IndexMap<String, Value>, f64)> {
    let mut found = Vec::new();
    for (branch, parameters) in function.space.branches.iter().enumerate() {
        for unit in [0.25, 0.5, 0.75] {
            let values = parameters
                .parameters
                .iter()
                .map(|(name, distribution)| (name.clone(), distribution.value_at(unit)))
                .collect();
            let point = Point { branch, values };
            let value = (function.value)(&point);
            found.push((point.values, value));
        }
    }
    found
}

fn read(arguments: &[String]) -> Option<(Case, Vec<u64>)> {
    let [name, sampler, at_once, trials, seeds @ ..] = arguments else { return None };
    let sampling = match sampler.as_str() {
        "random" => Sampling::Random { sobol: false },
        "sobol" => Sampling::Random { sobol: true },
        "bayesian" => Sampling::Bayesian,
        _ => return None,
    };
    let case =
        Case { function: function(name)?, sampling, at_once: at_once.parse().ok()?, trials: trials.parse().ok()? };
    Some((case, seeds.iter().map(|seed| seed.parse().ok()).collect::<Option<_>>()?))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((case, seeds)) = read(&arguments) else {
        eprintln!(
            "sampler_bench branin|hartmann3|hartmann6|ackley5|mixed random|sobol|bayesian AT_ONCE TRIALS SEED..."
        );
        std::process::exit(2);
    };
    let (regrets, milliseconds): (Vec<f64>, Vec<f64>) = seeds.iter().map(|seed| case.run(*seed)).unzip();
    println!("{}", json!({ "regret": regrets, "suggestion_ms": milliseconds, "agreed": agreed(&case.function) }));
}
