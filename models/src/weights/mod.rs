//! Published weights: what there is, where it is looked for, and how a file becomes parameters.
//!
//! [`read`] opens `.safetensors` and PyTorch `.pth`/`.pt` files (both containers that `torch.save` ever wrote) without
//! executing anything in them. [`load`] lays a file beside the entries a network wants and reports what fits.
//! [`published`] is the table of weights that `--pretrained auto` knows, [`checkpoint`] the reader of a run's checkpoints.

pub mod checkpoint;
mod dtype;
mod error;
mod fit;
mod foreign;
mod globals;
pub mod keymap;
pub mod load;
mod module_tree;
mod origin;
mod pickle;
mod positions;
pub mod published;
mod report;
pub mod tensors;
mod torch_file;
mod value;
mod view;
mod wanted;
mod zip;

pub use checkpoint::{CheckpointError, CheckpointFile};
pub use dtype::Dtype;
pub use error::WeightsError;
pub use files::digest::of_bytes as sha256_hex;
pub use foreign::Foreign;
pub use load::{Assignments, Values, load};
pub use origin::Origin;
pub use published::{Found, PUBLISHED, Published, locate, sha256_of};
pub use report::{LoadReport, WrongShape};
pub use tensors::{StateDict, TensorFile, read};
pub use view::NamedTensor;
pub use wanted::Wanted;
