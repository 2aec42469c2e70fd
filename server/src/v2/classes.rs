//! The most probable classes of each image as texts, which is Triton's extension "classification".

use std::num::NonZeroUsize;

use ndarray::Array2;
use schemas::prediction::{ClassCount, OutputData, ranked};

use super::bad;
use crate::error::ServerError;

/// How many classes an output of this name is asked for.
pub(super) fn count(output: &str, given: ClassCount) -> Result<NonZeroUsize, ServerError> {
    if output != runtime::OUTPUT {
        return bad(format!("classification is for {}; {output} has no classes to choose from", runtime::OUTPUT));
    }
    let Some(count) = given.get() else {
        return bad(format!(
            "classification of {output} is how many of the most probable classes to answer, a whole number of at least 1"
        ));
    };
    Ok(count)
}

/// The `count` most probable classes of each row of `probabilities` `[n, labels]`, or all where there are fewer: the shape, and
/// texts VALUE:INDEX:LABEL, the most probable first and of equal ones the first.
pub(super) fn best(probabilities: &Array2<f32>, labels: &[String], count: NonZeroUsize) -> (Vec<u64>, OutputData) {
    let most = count.get().min(labels.len());
    let texts = probabilities.rows().into_iter().flat_map(|row| {
        let row = row.to_vec();
        let best = ranked(&row).into_iter().take(most);
        best.map(|at| format!("{:.6}:{at}:{}", row[at], labels[at])).collect::<Vec<_>>()
    });
    (vec![probabilities.nrows() as u64, most as u64], OutputData::Text(texts.collect()))
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    fn told(probabilities: &Array2<f32>, labels: &[&str], count: usize) -> (Vec<u64>, Vec<String>) {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        match best(probabilities, &labels, NonZeroUsize::new(count).unwrap()) {
            (shape, OutputData::Text(texts)) => (shape, texts),
            (_, data) => panic!("{data:?}"),
        }
    }

    #[test]
    fn the_most_probable_come_first_and_equal_ones_in_their_order() {
        let rows = arr2(&[[0.25, 0.5, 0.25], [0.3, 0.3, 0.4]]);
        let labels = ["a", "b:c", " ü 猫 "];
        let all = [
            "0.500000:1:b:c",
            "0.250000:0:a",
            "0.250000:2: ü 猫 ",
            "0.400000:2: ü 猫 ",
            "0.300000:0:a",
            "0.300000:1:b:c",
        ];
        for count in [3, 4, usize::MAX] {
            assert_eq!(told(&rows, &labels, count), (vec![2, 3], all.map(str::to_owned).to_vec()));
        }
        let best = ["0.500000:1:b:c", "0.250000:0:a", "0.400000:2: ü 猫 ", "0.300000:0:a"];
        assert_eq!(told(&rows, &labels, 2), (vec![2, 2], best.map(str::to_owned).to_vec()));
        assert_eq!(told(&Array2::zeros((0, 3)), &labels, 2), (vec![0, 2], Vec::new()));
    }

    /// As C's `%f` writes them, which Triton uses: six decimals of the exact value, and a tie goes to the even one.
    #[test]
    fn values_have_six_decimals() {
        for (value, text) in [
            (0.0, "0.000000"),
            (1.0, "1.000000"),
            (1e-9, "0.000000"),
            (5e-7, "0.000000"),
            (5.1e-7, "0.000001"),
            (0.999_999_9, "1.000000"),
            (0.1, "0.100000"),
            (0.007_812_5, "0.007812"),
            (0.023_437_5, "0.023438"),
            (f32::MIN_POSITIVE, "0.000000"),
        ] {
            assert_eq!(told(&arr2(&[[value]]), &["x"], 1).1, [format!("{text}:0:x")], "{value}");
        }
    }
}
