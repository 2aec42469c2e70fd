//! Compiles `cpp/` against the libtorch that torch-sys was built with, and passes its folder on.

use std::{env, path::PathBuf, process::exit};

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        println!("cargo::error=torch-sys did not say where libtorch lies; run scripts/setup and build again");
        exit(1);
    };
    let include = lib.parent().map(|folder| folder.join("include")).unwrap_or_default();
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .includes([include.join("torch/csrc/api/include"), include.clone()])
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        // libtorch's headers warn under -Wall; ours is checked by its tests.
        .warnings(false)
        // A product and a sum that were fused on some machines only would round differently there.
        .flag_if_supported("-ffp-contract=off")
        .files(["cpp/bridge.cpp", "cpp/device.cpp", "cpp/nms.cpp", "cpp/parallel.cpp", "cpp/roi_align.cpp"])
        .compile("fovea_bridge");
    // Its users come before it on the linker's command line.
    println!("cargo::rustc-link-lib=torch_cpu");
    println!("cargo::rustc-link-lib=c10");
    println!("cargo::rustc-link-search=native={}", lib.display());
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo::metadata=LIBTORCH_LIB={}", lib.display());
}
