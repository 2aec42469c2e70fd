//! A model folder that MLflow loads: the `onnx` flavour, and `python_function` through it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use schemas::Task;
use serde::Serialize;
use serde_json::{Value, json};

use super::MlflowError;

// Versions that scripts/oracle/mlflow_server.py loads the folder with. The file asks for far less; MLflow compares and warns.
const MLFLOW: &str = "3.17.2";
const ONNX: &str = "1.23.2";
const ONNX_RUNTIME: &str = "1.31.1";
const NUMPY: &str = "2.4.6";
const PYTHON: &str = "3.11.7";
/// Every file of the folder.
const MODEL: &str = "model.onnx";

/// Numbers of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 0 to 255.
    Uint8,
    /// 64 bits.
    Int64,
    /// 32 bits.
    Float32,
}

impl Dtype {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Uint8 => "uint8",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
        }
    }
}

/// An input or output of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// As in the file.
    pub name: String,
    /// Its numbers.
    pub dtype: Dtype,
    /// Sides; -1 is any.
    pub shape: Vec<i64>,
}

impl Tensor {
    /// A tensor of this name.
    #[must_use]
    pub fn new(name: &str, dtype: Dtype, shape: &[i64]) -> Self {
        Self { name: name.to_owned(), dtype, shape: shape.to_owned() }
    }
}

/// What the folder says of the file.
#[derive(Clone, Debug)]
pub struct ModelFacts {
    /// Inputs that must be given, in the file's order. MLflow's signature knows no optional tensor: what is not here (the
    /// thresholds of a detector) cannot be given through `pyfunc`, and keeps its exported value.
    pub inputs: Vec<Tensor>,
    /// Outputs, in the file's order.
    pub outputs: Vec<Tensor>,
    /// The run that it comes from, for MLflow's pages.
    pub run_id: Option<String>,
    /// Anything else: task, model, labels as JSON. Shown as the model's metadata.
    pub metadata: IndexMap<String, String>,
}

impl ModelFacts {
    /// Of a file of the form `whole`: `images`, uint8 `[N, H, W, 3]`, and the outputs of the task. `classes` counts labels.
    #[must_use]
    pub fn whole(task: Task, classes: usize) -> Self {
        let detector = || {
            vec![
                Tensor::new("boxes", Dtype::Float32, &[-1, -1, 4]),
                Tensor::new("scores", Dtype::Float32, &[-1, -1]),
                Tensor::new("labels", Dtype::Int64, &[-1, -1]),
            ]
        };
        let outputs = match task {
            Task::ImageClassification | Task::ImageClassificationMultilabel => {
                // A file has no 2^63 classes.
                let classes = i64::try_from(classes).unwrap_or(-1);
                vec![Tensor::new("probabilities", Dtype::Float32, &[-1, classes])]
            }
            Task::ImageObjectDetection => detector(),
            Task::ImageInstanceSegmentation => {
                let mut outputs = detector();
                outputs.push(Tensor::new("masks", Dtype::Float32, &[-1, -1, -1, -1]));
                outputs
            }
        };
        let inputs = vec![Tensor::new("images", Dtype::Uint8, &[-1, -1, -1, 3])];
        Self { inputs, outputs, run_id: None, metadata: IndexMap::new() }
    }
}

/// `MLmodel`, in MLflow's order.
#[derive(Serialize)]
struct Mlmodel<'a> {
    flavors: Flavors,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    metadata: &'a IndexMap<String, String>,
    mlflow_version: &'static str,
    model_size_bytes: u64,
    model_uuid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a str>,
    signature: Signature,
}

#[derive(Serialize)]
struct Flavors {
    onnx: OnnxFlavor,
    python_function: PythonFunction,
}

#[derive(Serialize)]
struct OnnxFlavor {
    code: Option<String>,
    data: &'static str,
    onnx_session_options: Option<String>,
    onnx_version: &'static str,
    providers: [&'static str; 2],
}

#[derive(Serialize)]
struct PythonFunction {
    data: &'static str,
    env: Environments,
    loader_module: &'static str,
    python_version: &'static str,
}

#[derive(Serialize)]
struct Environments {
    conda: &'static str,
    virtualenv: &'static str,
}

/// JSON in strings, which is MLflow's way.
#[derive(Serialize)]
struct Signature {
    inputs: String,
    outputs: String,
    params: Option<String>,
}

#[derive(Serialize)]
struct Conda {
    channels: [&'static str; 1],
    dependencies: (String, &'static str, CondaPip),
    name: &'static str,
}

#[derive(Serialize)]
struct CondaPip {
    pip: Vec<String>,
}

#[derive(Serialize)]
struct PythonEnv {
    python: &'static str,
    build_dependencies: [&'static str; 3],
    dependencies: [&'static str; 1],
}

/// Writes the folder of an ONNX file for MLflow: `MLmodel`, `model.onnx` (a copy), `requirements.txt`, `conda.yaml` and
/// `python_env.yaml`. The same file and facts give the same bytes; `model_uuid` comes from the file's SHA-256.
///
/// It is written under another name beside `folder` and gets its name when it is complete. Nothing is written over anything.
///
/// # Errors
/// No such file, something at `folder`, or a folder that cannot be written.
pub fn model_folder(onnx: &Path, folder: &Path, facts: &ModelFacts) -> Result<(), MlflowError> {
    if fs::symlink_metadata(folder).is_ok() {
        return Err(MlflowError::InTheWay(folder.to_owned()));
    }
    let size = fs::metadata(onnx).map_err(MlflowError::io("read", onnx))?.len();
    let digest = files::digest::of_file(onnx).map_err(MlflowError::io("read", onnx))?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(MlflowError::io("make", parent))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tmp-fovea-");
    // A temporary folder is private by default; a result is as readable as any folder its owner makes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let aside = builder.tempdir_in(parent).map_err(MlflowError::io("write", parent))?;

    let model = aside.path().join(MODEL);
    let copy = || -> std::io::Result<()> {
        let mut target = File::create_new(&model)?;
        std::io::copy(&mut File::open(onnx)?, &mut target)?;
        target.sync_all()
    };
    copy().map_err(MlflowError::io("write", &folder.join(MODEL)))?;
    for (name, text) in texts(facts, size, &digest) {
        let text = text.map_err(|e| MlflowError::io("write", &folder.join(name))(std::io::Error::other(e)))?;
        let write = || -> std::io::Result<()> {
            let mut file = File::create_new(aside.path().join(name))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(MlflowError::io("write", &folder.join(name)))?;
    }
    publish(aside, folder, parent)
}

/// Renaming refuses whatever came to be there in the meantime, except for an empty folder, in which nothing is lost.
fn publish(aside: tempfile::TempDir, folder: &Path, parent: &Path) -> Result<(), MlflowError> {
    if let Err(error) = fs::rename(aside.path(), folder) {
        let in_the_way = fs::symlink_metadata(folder).is_ok();
        return Err(if in_the_way {
            MlflowError::InTheWay(folder.to_owned())
        } else {
            MlflowError::io("write", folder)(error)
        });
    }
    // It has another name now, and is kept.
    let _: PathBuf = aside.keep();
    let synced = File::open(folder).and_then(|file| file.sync_all()).and_then(|()| File::open(parent)?.sync_all());
    synced.map_err(MlflowError::io("write", folder))
}

type Text = Result<String, serde_saphyr::ser::Error>;

/// The small files.
fn texts(facts: &ModelFacts, size: u64, digest: &str) -> [(&'static str, Text); 4] {
    let packages: Vec<String> = [("mlflow", MLFLOW), ("numpy", NUMPY), ("onnx", ONNX), ("onnxruntime", ONNX_RUNTIME)]
        .map(|(name, version)| format!("{name}=={version}"))
        .to_vec();
    let mlmodel = Mlmodel {
        flavors: Flavors {
            onnx: OnnxFlavor {
                code: None,
                data: MODEL,
                onnx_session_options: None,
                onnx_version: ONNX,
                providers: ["CUDAExecutionProvider", "CPUExecutionProvider"],
            },
            python_function: PythonFunction {
                data: MODEL,
                env: Environments { conda: "conda.yaml", virtualenv: "python_env.yaml" },
                loader_module: "mlflow.onnx",
                python_version: PYTHON,
            },
        },
        metadata: &facts.metadata,
        mlflow_version: MLFLOW,
        model_size_bytes: size,
        model_uuid: digest[..32].to_owned(),
        run_id: facts.run_id.as_deref(),
        signature: Signature { inputs: schema(&facts.inputs), outputs: schema(&facts.outputs), params: None },
    };
    let requirements = packages.iter().map(|package| format!("{package}\n")).collect();
    let conda = Conda {
        channels: ["conda-forge"],
        dependencies: (format!("python={PYTHON}"), "pip", CondaPip { pip: packages }),
        name: "mlflow-env",
    };
    let python_env = PythonEnv {
        python: PYTHON,
        build_dependencies: ["pip", "setuptools", "wheel"],
        dependencies: ["-r requirements.txt"],
    };
    [
        ("MLmodel", serde_saphyr::to_string(&mlmodel)),
        ("requirements.txt", Ok(requirements)),
        ("conda.yaml", serde_saphyr::to_string(&conda)),
        ("python_env.yaml", serde_saphyr::to_string(&python_env)),
    ]
}

fn schema(tensors: &[Tensor]) -> String {
    let tensors: Vec<Value> = tensors
        .iter()
        .map(|tensor| {
            let spec = json!({ "dtype": tensor.dtype.as_str(), "shape": tensor.shape });
            json!({ "name": tensor.name, "type": "tensor", "tensor-spec": spec })
        })
        .collect();
    Value::Array(tensors).to_string()
}

#[cfg(test)]
mod tests {
    use schemas::{Coded as _, ErrorCode};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_folder_is_complete_and_the_same_again() {
        let work = tempfile::tempdir().unwrap();
        let onnx = work.path().join("best.onnx");
        fs::write(&onnx, b"an ONNX file").unwrap();
        let mut facts = ModelFacts::whole(Task::ImageClassification, 3);
        facts.run_id = Some("0123456789".to_owned());
        facts.metadata.insert("labels".to_owned(), r#"["no", "yes: 1", "4"]"#.to_owned());
        let (first, second) = (work.path().join("made/first"), work.path().join("second"));
        model_folder(&onnx, &first, &facts).unwrap();
        model_folder(&onnx, &second, &facts).unwrap();
        assert_eq!(names(&first), ["MLmodel", "conda.yaml", "model.onnx", "python_env.yaml", "requirements.txt"]);
        for name in names(&first) {
            assert_eq!(fs::read(first.join(&name)).unwrap(), fs::read(second.join(&name)).unwrap(), "{name}");
        }
        assert_eq!(fs::read(first.join("model.onnx")).unwrap(), b"an ONNX file");
        assert_eq!(names(work.path()), ["best.onnx", "made", "second"]);

        let read: Value = serde_saphyr::from_str(&fs::read_to_string(first.join("MLmodel")).unwrap()).unwrap();
        assert_eq!(read["flavors"]["onnx"]["data"], "model.onnx");
        assert_eq!(read["flavors"]["onnx"]["code"], Value::Null);
        assert_eq!(read["flavors"]["python_function"]["loader_module"], "mlflow.onnx");
        assert_eq!(read["run_id"], "0123456789");
        assert_eq!(read["metadata"]["labels"], facts.metadata["labels"].as_str());
        let inputs: Value = serde_json::from_str(read["signature"]["inputs"].as_str().unwrap()).unwrap();
        assert_eq!(
            inputs,
            json!([{ "name": "images", "type": "tensor", "tensor-spec": { "dtype": "uint8", "shape": [-1, -1, -1, 3] } }])
        );
        assert_eq!(read["model_size_bytes"], 12);
    }

    #[test]
    fn nothing_is_written_over_anything() {
        let work = tempfile::tempdir().unwrap();
        let onnx = work.path().join("best.onnx");
        fs::write(&onnx, b"an ONNX file").unwrap();
        let facts = ModelFacts::whole(Task::ImageObjectDetection, 3);
        let (file, folder, link) = (work.path().join("file"), work.path().join("folder"), work.path().join("link"));
        fs::write(&file, "mine").unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("MLmodel"), "mine").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(work.path().join("nowhere"), &link).unwrap();
        #[cfg(not(unix))]
        fs::write(&link, "mine").unwrap();
        for target in [&file, &folder, &link] {
            let error = model_folder(&onnx, target, &facts).unwrap_err();
            assert_eq!(error.code(), ErrorCode::OutputInUse, "{error}");
            // What came to be there after the first look.
            let aside = tempfile::tempdir_in(work.path()).unwrap();
            fs::write(aside.path().join("MLmodel"), "new").unwrap();
            assert!(matches!(publish(aside, target, work.path()), Err(MlflowError::InTheWay(_))));
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert_eq!(fs::read_to_string(folder.join("MLmodel")).unwrap(), "mine");
        let error = model_folder(&work.path().join("none.onnx"), &work.path().join("new"), &facts).unwrap_err();
        assert_eq!(error.code(), ErrorCode::FileNotFound);
        assert_eq!(names(work.path()), ["best.onnx", "file", "folder", "link"]);
    }
}
