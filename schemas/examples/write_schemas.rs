//! Writes the published JSON Schemas into the crate's `json` folder: `cargo run -p schemas --example write_schemas`.

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
    fs::create_dir_all(&folder)?;
    for document in schemas::documents() {
        fs::write(folder.join(&document.file), document.text()?)?;
    }
    Ok(())
}
