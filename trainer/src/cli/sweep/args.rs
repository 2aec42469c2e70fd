//! Options of `job` and `sweep`.

use std::path::PathBuf;

use clap::Args;

/// Options of `job`.
#[derive(Clone, Debug, Args)]
pub struct JobArgs {
    /// Job file: an Azure ML CLI v2 image job (YAML with `type: automl`).
    #[arg(value_name = "FILE", required_unless_present = "resume")]
    pub file: Option<PathBuf>,
    /// How the study is run.
    #[command(flatten)]
    pub study: StudyArgs,
}

/// Options of `sweep`.
#[derive(Clone, Debug, Args)]
pub struct SweepArgs {
    /// Study in a file, YAML or TOML, in place of the options below.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["search", "task", "training_data"])]
    pub config: Option<PathBuf>,
    /// What is searched: NAME=choice(a,b), uniform(low,high), loguniform(low,high) (bounds are natural logarithms), quniform(low,high,step),
    /// normal(mean,deviation) and so on. Repeat it for each setting. A trial takes one of several sub-spaces, which are named before the
    /// setting: a:model_name=resnet18 b:model_name=resnet50 b:weight_decay=uniform(0,0.1). Without any, the study chooses models and
    /// ranges itself.
    #[arg(long, value_name = "NAME=DISTRIBUTION")]
    pub search: Vec<String>,
    /// How points are chosen: random, sobol, grid, bayesian.
    #[arg(long, default_value = "bayesian", value_name = "WORD")]
    pub sampling: String,
    /// Which trials are ended early: none, median_stopping, bandit(slack_factor=0.2), bandit(slack_amount=0.05),
    /// truncation_selection(truncation_percentage=25), asha; each also with evaluation_interval and delay_evaluation.
    #[arg(long = "early_termination", value_name = "RULE")]
    pub early_termination: Option<String>,
    /// Trials.
    #[arg(long = "max_trials", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub max_trials: u64,
    /// Trials at the same time; threads are divided among them, graphics cards given out one by one.
    #[arg(long = "max_concurrent_trials", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub max_concurrent_trials: u64,
    /// Minutes for the whole study; what runs then is stopped, and the best so far counts.
    #[arg(long = "timeout_minutes", value_name = "MINUTES")]
    pub timeout_minutes: Option<f64>,
    /// Minutes for a trial; it then ends as if it were complete.
    #[arg(long = "trial_timeout_minutes", value_name = "MINUTES")]
    pub trial_timeout_minutes: Option<f64>,
    /// Labelled images that the best model's file is measured on at the end, once.
    #[arg(long = "test_data", value_name = "PATH")]
    pub test_data: Option<String>,
    /// What the model shall answer.
    #[arg(long)]
    pub task: Option<String>,
    /// Model of every trial; --search 'model_name=choice(a,b)' searches it.
    #[arg(long = "model_name", alias = "model")]
    pub model_name: Option<String>,
    /// Labelled images: a JSONL file or an MLTable folder.
    #[arg(long = "training_data", value_name = "PATH", required_unless_present_any = ["config", "resume"])]
    pub training_data: Option<String>,
    /// Labelled images to validate on; left out, the same share of the training data is held back in every trial.
    #[arg(long = "validation_data", value_name = "PATH")]
    pub validation_data: Option<String>,
    /// Weights to start from: auto, none, or a file.
    #[arg(long, value_name = "auto|none|FILE")]
    pub pretrained: Option<String>,
    /// Where settings that are neither given nor searched come from: auto, specification.
    #[arg(long, value_name = "auto|specification")]
    pub recipe: Option<String>,
    /// Where trials compute: auto, cpu, cuda:0.
    #[arg(long)]
    pub device: Option<String>,
    /// Arithmetic of the training step: auto, fp32, bf16, fp16.
    #[arg(long)]
    pub precision: Option<String>,
    /// Seed of the trainings and of the sampler.
    #[arg(long, alias = "random_seed", default_value_t = 0)]
    pub seed: u64,
    /// How the study is run.
    #[command(flatten)]
    pub study: StudyArgs,
}

/// How a study is run, however it was asked for.
#[derive(Clone, Debug, Args)]
pub struct StudyArgs {
    /// Folder of the study: one that is not there, an empty one, or, with --resume, that of the study.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    pub output: Option<PathBuf>,
    /// Go on with the study in --output; what it was asked is taken from there.
    #[arg(long)]
    pub resume: bool,
    /// Print what would be done, and do nothing.
    #[arg(long = "dry_run")]
    pub dry_run: bool,
    /// Change a field of the file before it is read: limits.max_trials=4, search_space.0.number_of_epochs=1. Repeat it for each.
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub changes: Vec<String>,
    /// Folder that stands for the data stores of the cloud: azureml:NAME:VERSION is looked for there.
    #[arg(long = "data_root", value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Threads of all trials together; 0 uses every core.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// How often a trial is started again that died.
    #[arg(long, default_value_t = 2)]
    pub retries: u32,
    /// Earlier study of the same space and metric that a bayesian sampler learns from. Repeat it, for at most 5.
    #[arg(long = "warm_start", value_name = "STUDY")]
    pub warm_start: Vec<PathBuf>,
    /// MLflow server that the study is logged to at the end, http://HOST:PORT: a run for it and for each trial, and the model. Credentials
    /// are taken from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.
    #[arg(long, value_name = "ADDRESS")]
    pub mlflow: Option<String>,
    /// Register the best model under this name at the end, with --mlflow there, too.
    #[arg(long, value_name = "NAME")]
    pub register: Option<String>,
    /// Folder of models that it is registered in.
    #[arg(long, value_name = "DIR", default_value = "models")]
    pub models: PathBuf,
}
