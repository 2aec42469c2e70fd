//! Tells the binary where libtorch lies, so that it starts with no environment variable set.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Beside an unpacked release, in a checkout (target/release/trainer), and where it was built.
    for folder in ["$ORIGIN/lib", "$ORIGIN/../../native/libtorch/lib"] {
        println!("cargo::rustc-link-arg-bins=-Wl,-rpath,{folder}");
    }
    if let Ok(lib) = std::env::var("DEP_FOVEA_BRIDGE_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
