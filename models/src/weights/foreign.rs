//! Files that people give in place of a checkpoint or of weights, told by their first bytes.

use std::fmt;

/// A kind of file that holds a network, but not as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// An exported file.
    Onnx,
    /// What `torch.save` writes.
    PyTorch,
}

impl Foreign {
    /// The kind of a file that begins with `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            // Field 1, the version of the representation, then 2 (the producer), 3 to 5 (its version, domain), 7 or 8.
            [0x08, 1..=30, 0x12 | 0x1a | 0x22 | 0x28 | 0x3a | 0x42, ..] => Some(Self::Onnx),
            [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => Some(Self::PyTorch),
            _ => None,
        }
    }

    /// How to give it instead.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Onnx => {
                "evaluate, predict and embed take it with --onnx in place of --checkpoint, the server with --model; \
                 training and export need the run's folder"
            }
            Self::PyTorch => "weights go to `trainer train --pretrained FILE`, whose run then has a checkpoint",
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Onnx => "an ONNX file",
            Self::PyTorch => "a PyTorch file",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Foreign;
    use crate::weights::{CheckpointFile, read};

    #[test]
    fn other_kinds_of_files_are_named_with_what_to_do() {
        let folder = std::env::temp_dir().join(format!("fovea-foreign-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("model.bin");
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            CheckpointFile::open(&path).map(drop).unwrap_err().to_string()
        };
        let onnx = b"\x08\x08\x12\x05fovea\x3a\x00";
        let said = refused(onnx);
        assert!(said.contains("is an ONNX file") && said.contains("--onnx"), "{said}");
        let weights = read(&path).unwrap_err().to_string();
        assert!(weights.contains("is an ONNX file") && weights.contains(".pth"), "{weights}");
        let said = refused(b"PK\x03\x04 and so on");
        assert!(said.contains("is a PyTorch file") && said.contains("--pretrained"), "{said}");
        assert!(refused(b"something else").contains("damaged or something else"));
        assert_eq!(Foreign::of(b""), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
