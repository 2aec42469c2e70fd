//! Takes what the viewer of the interface needs out of Swagger UI's archive, and compresses it for the program. Asks no network: the
//! archive is a crate.

use std::{
    env, fs,
    io::{Cursor, Read as _, Write as _},
    path::Path,
};

use anyhow::Context as _;
use flate2::{Compression, write::GzEncoder};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

/// What is made, and of which files of the archive, one behind the other.
const FILES: [(&str, &[&str]); 3] = [
    ("swagger-ui.js.gz", &["dist/swagger-ui-bundle.js"]),
    ("swagger-ui.css.gz", &["dist/swagger-ui.css"]),
    ("license.txt.gz", &["NOTICE", "LICENSE"]),
];

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = env::var("OUT_DIR").context("Cargo says in OUT_DIR where a build script writes")?;
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED)).context("Swagger UI's archive")?;
    for (made, names) in FILES {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        for name in names {
            packed.write_all(&file(&mut archive, name)?)?;
        }
        fs::write(Path::new(&folder).join(made), packed.finish()?).with_context(|| made.to_owned())?;
    }
    Ok(())
}

/// A file of the archive, whose first folder has the version in its name.
fn file(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> anyhow::Result<Vec<u8>> {
    let within = |path: &str| path.split_once('/').is_some_and(|(_, rest)| rest == name);
    let path = archive.file_names().find(|path| within(path)).map(str::to_owned);
    let path = path.with_context(|| format!("Swagger UI's archive has no {name}"))?;
    let mut bytes = Vec::new();
    archive.by_name(&path)?.read_to_end(&mut bytes).with_context(|| path.clone())?;
    Ok(bytes)
}
