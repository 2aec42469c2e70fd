//! Benchmark drivers of the trainer: each command does one piece of work and prints what it took as one JSON object.
//!
//! `scripts/bench/speed.py` and `scripts/bench/recipes.py` start it, most commands beside the same work of PyTorch. It is an example
//! and not a bench target, because cargo gives an example a path that other programs can name: `target/release/examples/bench`.

mod classifier_loader;
mod classifier_step;
mod detector_files;
mod detector_loader;
mod detector_step;
mod device;
mod mask_answers;
mod mask_evaluation;
mod process;

const USAGE: &str = "bench COMMAND, one of
  classifier-step MODEL BATCH fp32|bf16 preferred|contiguous|channels_last STEPS THREADS [DEVICE]
  classifier-loader DATA.jsonl PASSES WORKERS
  rows DATA.jsonl
  detector-step MODEL HEIGHTxWIDTH BATCH fp32|bf16 contiguous|channels_last STEPS THREADS FOLDER [DEVICE]
  detector-loader DATA.jsonl PASSES WORKERS
  mask-evaluation HEIGHTxWIDTH FOLDER
  detector-files RUN FOLDER IMAGE...
  mask-answers SERVER MODEL.onnx IMAGE.jpg polygon|rle|png|none ROUNDS THREADS
  device";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, arguments)) = arguments.split_first() else { anyhow::bail!(USAGE) };
    let answer = match command.as_str() {
        "classifier-step" => classifier_step::run(arguments),
        "classifier-loader" => classifier_loader::run(arguments),
        "rows" => classifier_loader::rows(arguments),
        "detector-step" => detector_step::run(arguments),
        "mask-evaluation" => mask_evaluation::run(arguments),
        "detector-loader" => detector_loader::run(arguments),
        "detector-files" => detector_files::run(arguments),
        "mask-answers" => mask_answers::run(arguments),
        "device" => Ok(device::describe()),
        _ => anyhow::bail!("there is no command '{command}'\n{USAGE}"),
    }?;
    println!("{answer}");
    Ok(())
}
