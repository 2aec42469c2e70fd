//! Training steps that memory is too small for, taken in parts.
//!
//! A batch is not made smaller: its images are passed through in parts, and gradients are added up, so that an optimizer
//! step still rests on as many images. Only batch normalisations notice, which see the statistics of a part.

use std::ops::Range;

use schemas::error::ErrorCode;

use crate::failure;

/// How large parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Most images that fit; 0 while everything did.
    pub most: usize,
    /// Whether a part that does not fit is tried again as halves.
    pub may_shrink: bool,
}

impl Parts {
    /// Takes `n` images through `step`, in parts of the size that fits. When memory runs out in a part, all further parts are
    /// half as large, beginning with the images of that part. True when that happened.
    ///
    /// # Errors
    /// Any other error of `step`, and running out of memory with a single image or where parts may not shrink.
    pub fn each(&mut self, n: usize, mut step: impl FnMut(Range<usize>) -> anyhow::Result<()>) -> anyhow::Result<bool> {
        let (mut done, mut shrank) = (0, false);
        while done < n {
            let most = if self.most == 0 { n } else { self.most };
            let end = (done + most).min(n);
            match failure::contained(|| step(done..end)) {
                Ok(()) => done = end,
                Err(error) => {
                    let is_memory = failure::code(&error) == ErrorCode::OutOfMemory;
                    if !is_memory || !self.may_shrink || end - done < 2 {
                        return Err(error);
                    }
                    // What the failed part left in libtorch's cache is in pieces that the next one may not fit into.
                    bridge::release_cached_memory()?;
                    (self.most, shrank) = ((end - done).div_ceil(2), true);
                }
            }
        }
        Ok(shrank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What libtorch says, as tch passes it on.
    const MESSAGE: &str = "Torch(\"[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory\")";

    /// Takes `n` images where only `room` fit at once; the parts that went through.
    fn taken(parts: &mut Parts, n: usize, room: usize) -> anyhow::Result<(Vec<[usize; 2]>, bool)> {
        let mut through = Vec::new();
        let shrank = parts.each(n, |range| {
            assert!(range.len() <= room, "{MESSAGE}");
            through.push([range.start, range.end]);
            Ok(())
        })?;
        Ok((through, shrank))
    }

    #[test]
    fn parts_are_halved_until_they_fit_and_stay_so() {
        let mut parts = Parts { most: 0, may_shrink: true };
        assert_eq!(taken(&mut parts, 16, 16).unwrap(), (vec![[0, 16]], false));
        assert_eq!(taken(&mut parts, 16, 5).unwrap(), (vec![[0, 4], [4, 8], [8, 12], [12, 16]], true));
        assert_eq!(taken(&mut parts, 7, 5).unwrap(), (vec![[0, 4], [4, 7]], false));
        assert_eq!(parts.most, 4);
    }

    #[test]
    fn images_before_the_failure_are_not_taken_again() {
        let mut parts = Parts { most: 4, may_shrink: true };
        let mut through = Vec::new();
        let shrank = parts.each(10, |range| {
            if range.start >= 4 && range.len() > 2 {
                let error = tch::TchError::Torch(MESSAGE.to_owned());
                return Err(anyhow::Error::new(error).context("backward pass"));
            }
            through.push([range.start, range.end]);
            Ok(())
        });
        assert!(shrank.unwrap());
        assert_eq!(through, [[0, 4], [4, 6], [6, 8], [8, 10]]);
    }

    #[test]
    fn an_exception_of_an_allocators_type_is_running_out_of_memory() {
        let mut parts = Parts { most: 0, may_shrink: true };
        let mut lengths = Vec::new();
        let shrank = parts.each(8, |range| {
            lengths.push(range.len());
            if range.len() > 4 {
                let error = bridge::BridgeError::OutOfMemory { call: "backward", message: "2.00 GiB".to_owned() };
                return Err(anyhow::Error::new(error).context("backward pass"));
            }
            Ok(())
        });
        assert!(shrank.unwrap());
        assert_eq!(lengths, [8, 4, 4]);
    }

    #[test]
    fn one_image_too_many_other_errors_and_a_fixed_size_are_errors() {
        let code = |parts: &mut Parts, room| failure::code(&taken(parts, 8, room).unwrap_err());
        assert_eq!(code(&mut Parts { most: 0, may_shrink: true }, 0), ErrorCode::OutOfMemory);
        assert_eq!(code(&mut Parts { most: 0, may_shrink: false }, 5), ErrorCode::OutOfMemory);
        let mut parts = Parts { most: 0, may_shrink: true };
        let other = parts.each(8, |_| anyhow::bail!("shapes differ")).unwrap_err();
        assert!(other.to_string().contains("shapes differ"));
        assert_eq!(parts.most, 0);
    }
}
