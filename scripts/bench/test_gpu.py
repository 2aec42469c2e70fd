"""Tests of scripts/gpu and scripts/gpu-kit themselves, without programs and without a card: python3 -m unittest discover scripts/bench"""

import argparse
import importlib.machinery
import importlib.util
import json
import pathlib
import string
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
import zipfile

BENCH = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(BENCH))

import gpu_bench
import gpu_cases
import gpu_checks
import gpu_command
import gpu_environment
import gpu_memory
import gpu_page
import gpu_serving
from gpu_unit import Outcomes, Skipped, Unit, outcome, run_all, selected, told
from machine import ROOT, Failed
from place import Place

CARD = {"card": "A card", "driver": "1.2", "memory": "80 MiB", "capability": "9.0"}


def bench(folder, device="cuda:0", card=None, programs=None):
    place = Place(pathlib.Path(folder), pathlib.Path(folder), sys.executable, programs=programs or pathlib.Path(folder))
    return gpu_bench.Bench(place, device, pathlib.Path(folder), pathlib.Path(folder) / "onnxruntime-gpu", "abc", card or {})


def giving(facts):
    return lambda _bench: facts


def raising(error):
    def run(_bench):
        raise error

    return run


def kit_script():
    """scripts/gpu-kit as a module."""
    path = str(ROOT / "scripts/gpu-kit")
    loader = importlib.machinery.SourceFileLoader("gpu_kit", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_kit", loader))
    with unittest.mock.patch.object(sys, "dont_write_bytecode", True):
        loader.exec_module(module)
    return module


class Units(unittest.TestCase):
    def test_whatever_goes_wrong_is_an_outcome(self):
        late = subprocess.TimeoutExpired(["x"], 7.0)
        for error, status, why in [
            (Failed("bad sum"), "failed", "bad sum"), (Skipped("no wheel"), "skipped", "no wheel"), (KeyError("loss"), "failed", "KeyError"),
            (late, "skipped", "had not ended after 7 s"),
        ]:
            found = outcome(Unit("a/b", "", raising(error)), bench("."))
            self.assertEqual(found["status"], status)
            self.assertIn(why, found["why"])
        self.assertEqual(outcome(Unit("a/b", "", giving({"n": 1})), bench("."))["facts"], {"n": 1})

    def test_an_outcome_is_told_on_one_line(self):
        facts = {"bits equal": True, "loss": 1.23456, "ratio": {"median": 0.89, "low": 0.8, "high": 0.9}}
        self.assertEqual(told({"facts": facts}), ": bits equal yes, loss 1.235, ratio 0.89")
        self.assertEqual(told({"why": "no wheel"}), "\n    no wheel")

    def test_units_are_named_by_their_beginnings(self):
        units = [Unit(name, "", giving({})) for name in ("tests/ops", "tests/vision", "speed/x")]
        self.assertEqual([unit.name for unit in selected(units, ["speed", "tests/o"])], ["tests/ops", "speed/x"])
        self.assertEqual(len(selected(units, [])), 3)
        with self.assertRaisesRegex(Failed, "no unit 'sped'"):
            selected(units, ["sped"])

    def test_without_a_card_only_what_needs_none_is_run_and_without_time_nothing_is_begun(self):
        ran = []
        units = [Unit("a", "", lambda _bench: ran.append("a") or {}, card=False), Unit("b", "", lambda _bench: ran.append("b") or {})]
        with tempfile.TemporaryDirectory() as folder:
            outcomes = Outcomes(pathlib.Path(folder) / "x.json")
            self.assertEqual(run_all(units, bench(folder), outcomes, time.monotonic() + 1000, lambda _text: None), [])
            self.assertEqual((ran, outcomes.of("b")["status"]), (["a"], "skipped"))
            left = run_all(units, bench(folder, card=CARD), outcomes, time.monotonic() + 5, lambda _text: None)
            self.assertEqual(([unit.name for unit in left], ran), (["a", "b"], ["a"]))
            run_all(units, bench(folder, device="cpu"), outcomes, time.monotonic() + 1000, lambda _text: None)
            self.assertEqual(ran, ["a", "a", "b"])

    def test_outcomes_are_kept_one_by_one_and_replaced_and_not_mixed_with_those_of_another_card(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "x.json"
            outcomes = Outcomes(path)
            outcomes.belong_to({"card": "one", "driver": "1", "torch": "2"})
            for seconds in (1, 2):
                outcomes.keep({"unit": "a", "seconds": seconds, "status": "done"})
            again = Outcomes(path)
            self.assertEqual([one["seconds"] for one in again.units], [2])
            again.belong_to({"card": "one", "driver": "1", "torch": "2"})
            with self.assertRaisesRegex(Failed, "outcomes of card one, and this is two"):
                again.belong_to({"card": "two", "driver": "1", "torch": "2"})

    def test_what_was_found_without_a_card_does_not_stand_where_there_is_one_and_a_rehearsal_is_not_mixed_in(self):
        with tempfile.TemporaryDirectory() as folder:
            outcomes = Outcomes(pathlib.Path(folder) / "x.json")
            outcomes.belong_to({"device": "cuda:0", "torch": "2"})
            outcomes.keep({"unit": "programs", "status": "done"})
            outcomes.belong_to({"device": "cuda:0", "card": "one", "torch": "2"})
            self.assertEqual(outcomes.units, [])
            rehearsed = Outcomes(pathlib.Path(folder) / "y.json")
            rehearsed.belong_to({"device": "cpu", "torch": "2"})
            rehearsed.keep({"unit": "programs", "status": "done"})
            with self.assertRaisesRegex(Failed, "outcomes of device cpu, and this is cuda:0"):
                rehearsed.belong_to({"device": "cuda:0", "card": "one", "torch": "2"})

    def test_a_unit_that_was_left_out_is_tried_again_and_one_with_an_outcome_is_not(self):
        self.assertFalse(gpu_command.settled(None))
        self.assertFalse(gpu_command.settled({"status": "skipped"}))
        self.assertTrue(gpu_command.settled({"status": "failed"}))

    def test_the_exit_code_says_what_there_is_to_do(self):
        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch("builtins.print"):
            outcomes = Outcomes(pathlib.Path(folder) / "x.json")
            outcomes.keep({"unit": "a", "status": "done"})
            self.assertEqual(gpu_command.concluded(outcomes, [], True), 0)
            self.assertEqual(gpu_command.concluded(outcomes, [], False), 3)
            outcomes.keep({"unit": "b", "status": "failed"})
            self.assertEqual(gpu_command.concluded(outcomes, [], True), 1)
            self.assertEqual(gpu_command.concluded(outcomes, [Unit("c", "", giving({}))], True), 75)

    def test_names_are_unique_and_every_command_can_be_filled_in(self):
        names = [unit.name for unit in gpu_command.all_units()]
        self.assertEqual(len(names), len(set(names)))
        known = {"programs", "peers", "python", "threads", "folder", "device", "workers", "listing"}
        for group in gpu_cases.GROUPS:
            for case in group.cases:
                self.assertFalse(set(group.quick) - set(case.parameters), group.name)
                for part in [*group.ours, *group.peer]:
                    fields = {field for _, field, _, _ in string.Formatter().parse(str(part)) if field}
                    self.assertFalse(fields - known - set(case.parameters), case.name)


class Judging(unittest.TestCase):
    def test_tests_are_counted_and_those_that_failed_are_named(self):
        passed = "test ops::a ... ok\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out"
        self.assertEqual(gpu_checks.counted(passed), {"tests passed": 3})
        failed = "test ops::a ... FAILED\nthread 'x' panicked at tests/a.rs:1:2:\n2 cases failed: conv\n" \
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out"
        with self.assertRaisesRegex(Failed, "1 of 2 tests failed: ops::a\n    2 cases failed: conv"):
            gpu_checks.counted(failed)
        with self.assertRaisesRegex(Failed, "no test has such a name"):
            gpu_checks.counted("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out")
        with self.assertRaisesRegex(Failed, "did not run to their end:\nSegmentation fault"):
            gpu_checks.counted("Segmentation fault")

    def test_answers_are_compared_number_by_number(self):
        a = {"boxes": [{"label": "x", "score": 0.5}], "seconds": 1}
        self.assertEqual(gpu_checks.largest_difference(a, {"boxes": [{"label": "x", "score": 0.25}], "seconds": 9}), 0.25)
        with self.assertRaisesRegex(Failed, "/boxes/0/label: x on the device and y on the CPU"):
            gpu_checks.largest_difference(a, {"boxes": [{"label": "y", "score": 0.5}], "seconds": 1})
        with self.assertRaisesRegex(Failed, "/boxes"):
            gpu_checks.largest_difference(a, {"boxes": [], "seconds": 1})

    def test_checkpoints_are_compared_bit_by_bit(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder) / name for name in ("a", "b", "c")]
            for path, value in zip(paths, (1.0, 1.0, 1.5)):
                header = json.dumps({"__metadata__": {"x": path.name}, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
                path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<f", value))
            self.assertTrue(gpu_bench.apart(paths[0], paths[1])["bits equal"])
            different = gpu_bench.apart(paths[0], paths[2])
            self.assertEqual((different["bits equal"], different["tensors that differ"], different["largest difference"]), (False, 1, 0.5))

    def test_memory_that_grows_is_a_fault_and_memory_that_goes_up_and_down_is_none(self):
        steady = {"host": [900.0, 905.0] * 10, "card": [4000.0] * 20}
        self.assertEqual(gpu_memory.judged(steady)["card, growth in MiB"], 0.0)
        with self.assertRaisesRegex(Failed, "memory of the card grows"):
            gpu_memory.judged({**steady, "card": [4000.0 + 5 * step for step in range(20)]})
        with self.assertRaisesRegex(Failed, "read 3 times only"):
            gpu_memory.judged({"host": [1.0] * 3})

    def test_a_training_is_killed_once_it_is_ready_and_one_that_ended_before_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log"
            log.write_text("too fast\n")
            process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            gpu_bench.kill_after(process, lambda: True, log, 5)
            self.assertEqual(process.returncode, -9)
            process = subprocess.Popen([sys.executable, "-c", "pass"])
            with self.assertRaisesRegex(Failed, "had ended with exit code 0: too fast"):
                gpu_bench.kill_after(process, lambda: False, log, 5)

    def test_a_program_that_outlasts_the_time_is_ended(self):
        place = Place(pathlib.Path("."), pathlib.Path("."), deadline=time.monotonic() + 1)
        with self.assertRaises(subprocess.TimeoutExpired):
            place.run([sys.executable, "-c", "import time; time.sleep(60)"])


class Machines(unittest.TestCase):
    def test_what_is_missing_is_said(self):
        manifest = {"torch": "2.11.0"}
        asked = {"torch": "2.11.0+cu130", "cuda": "13.0", "sees": "A card"}
        self.assertEqual(list(gpu_environment.missing(CARD, asked, manifest)), [])
        self.assertRegex(" ".join(gpu_environment.missing({}, {}, manifest)), "no NVIDIA card.*no PyTorch: --python")
        self.assertIn("built against libtorch 2.11.0", " ".join(gpu_environment.missing(CARD, {**asked, "torch": "2.13.0"}, manifest)))
        self.assertIn("does not see the card: its driver 1.2", " ".join(gpu_environment.missing(CARD, {**asked, "sees": None}, manifest)))

    def test_nvidia_smi_is_read(self):
        def says(text, code=0):
            done = subprocess.CompletedProcess([], code, text)
            return unittest.mock.patch("subprocess.run", return_value=done)

        with says("NVIDIA H100 80GB HBM3, 580.1, 81559 MiB, 9.0\n"):
            self.assertEqual(gpu_environment.card()["driver"], "580.1")
        with says("No devices were found\n", 6):
            self.assertEqual(gpu_environment.card(), {})
        with says("1234\n"):
            self.assertEqual(gpu_memory.of_card(), 1234.0)
        with unittest.mock.patch("subprocess.run", side_effect=FileNotFoundError):
            self.assertEqual((gpu_environment.card(), gpu_memory.of_card()), ({}, None))

    def test_libraries_of_pytorch_and_of_nvidia_are_found_beside_each_other(self):
        with tempfile.TemporaryDirectory() as folder:
            site = pathlib.Path(folder)
            for name in ("torch/lib/libtorch_cpu.so", "nvidia/cudnn/lib/libcudnn.so.9", "nvidia/cu13/lib/libcudart.so.13"):
                (site / name).parent.mkdir(parents=True)
                (site / name).write_text("")
            found = gpu_environment.libraries({"folder": str(site / "torch")})
            self.assertEqual([str(path.relative_to(site)) for path in found], ["torch/lib", "nvidia/cu13/lib", "nvidia/cudnn/lib"])

    def test_parts_of_a_wheel_are_joined_in_their_order_and_an_incomplete_one_is_told(self):
        with tempfile.TemporaryDirectory() as name:
            folder, into = pathlib.Path(name), pathlib.Path(name) / "into"
            into.mkdir()
            with zipfile.ZipFile(folder / "whole.zip", "w") as wheel:
                wheel.writestr("onnxruntime/capi/libonnxruntime.so.1", "x" * 5000)
            data = (folder / "whole.zip").read_bytes()
            (folder / "x.part0").write_bytes(data[:2000])
            with self.assertRaisesRegex(Skipped, "the 1 parts .* bring the others"):
                gpu_serving.joined(folder, into)
            (folder / "x.part1").write_bytes(data[2000:])
            self.assertEqual(zipfile.ZipFile(gpu_serving.joined(folder, into)).namelist(), ["onnxruntime/capi/libonnxruntime.so.1"])
            with self.assertRaisesRegex(Skipped, "no wheel of onnxruntime-gpu"):
                gpu_serving.joined(folder / "nowhere", into)

    def test_requests_that_fail_are_no_throughput(self):
        with unittest.mock.patch.object(gpu_serving, "asked", side_effect=OSError("refused")):
            with self.assertRaisesRegex(Failed, "2 of 2 clients got no answer; the first: refused"):
                gpu_serving.load("http://x", ["a"], 2, 1)
        with unittest.mock.patch.object(gpu_serving, "asked", side_effect=lambda *_: time.sleep(0.01)):
            self.assertGreater(gpu_serving.load("http://x", ["a"], 2, 0.2), 20)


class Pages(unittest.TestCase):
    def test_the_page_says_what_its_outcomes_say(self):
        with unittest.mock.patch("builtins.print"):
            self.assertEqual(gpu_command.published(gpu_command.RECORDS, True), 0)

    def test_a_ratio_is_shown_and_what_was_not_measured_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            outcomes = Outcomes(pathlib.Path(folder) / "x.json")
            units = gpu_command.all_units()
            self.assertIn("not measured yet: no card was at hand", gpu_page.tables(units, outcomes))
            outcomes.belong_to({**CARD, "torch": "2.11.0+cu130", "cores": 16, "processor": "P", "date": "2026-01-01"})
            sides = {"ours": {"median": 20.0}, "peer": {"median": 25.0}, "ratio": {"median": 0.8, "low": 0.79, "high": 0.81}}
            outcomes.keep({"unit": "speed/classifier-step/resnet50", "status": "done", "facts": sides, "commit": "abc", "seconds": 1})
            outcomes.keep({"unit": "tests/ops", "status": "failed", "why": "1 of 2\ntests failed", "commit": "abc", "seconds": 1})
            text = gpu_page.tables(units, outcomes)
            self.assertIn("| ResNet-50 | 20 | 25 | 0.80 (0.79 to 0.81) | 3200 | done |", text)
            self.assertIn("failed: 1 of 2 tests failed", text)
            self.assertIn("A card (80 MiB), driver 1.2; PyTorch 2.11.0+cu130", " ".join(text.split()))

    def test_a_page_without_its_markers_is_refused(self):
        self.assertEqual(gpu_page.filled(f"a\n{gpu_page.BEGIN}\nold\n{gpu_page.END}\nb", "new"), f"a\n{gpu_page.BEGIN}\n\nnew\n\n{gpu_page.END}\nb")
        with self.assertRaisesRegex(Failed, "has no lines"):
            gpu_page.filled("a", "new")


class Kits(unittest.TestCase):
    def test_a_folder_that_holds_anything_is_not_built_in(self):
        kit = kit_script()
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "tree").mkdir()
            (folder / "tree/thesis.txt").write_text("mine")
            with self.assertRaisesRegex(kit.SetupError, "is not empty"):
                kit.claimed(folder)
            kit.claimed(folder / "new")
            (folder / "new/tree").mkdir()
            kit.claimed(folder / "new")

    def test_outcomes_are_not_written_over_another_file(self):
        with tempfile.TemporaryDirectory() as folder:
            for text in ['{"name": "package"}', "[1]", "mine"]:
                path = pathlib.Path(folder) / "package.json"
                path.write_text(text)
                with self.assertRaisesRegex(Failed, "no file of outcomes"):
                    Outcomes(path)
                self.assertEqual(path.read_text(), text)

    def test_only_the_named_crates_change(self):
        kit = kit_script()
        text = 'tch = "=0.26.0"\ntempfile = "3"\ntorch-sys = "=0.26.0"\n'
        self.assertEqual(kit.with_crates(text, {"tch": "0.24.0", "torch-sys": "0.24.0"}), 'tch = "=0.24.0"\ntempfile = "3"\ntorch-sys = "=0.24.0"\n')
        with self.assertRaisesRegex(kit.SetupError, "has no line `other"):
            kit.with_crates(text, {"other": "1"})
        # The real file has both lines.
        kit.with_crates((ROOT / "Cargo.toml").read_text(), {"tch": "0.24.0", "torch-sys": "0.24.0"})

    def test_a_folder_with_a_file_of_the_users_stays(self):
        kit = kit_script()
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name) / "kit"
            folder.mkdir()
            (folder / "manifest.json").write_text("{}")
            with self.assertRaisesRegex(kit.SetupError, "manifest.json was not made by scripts/gpu-kit"):
                kit.replaced(folder)
            kit.recorded(folder)
            (folder / "mine.txt").write_text("")
            with self.assertRaisesRegex(kit.SetupError, "mine.txt was not made"):
                kit.replaced(folder)
            (folder / "mine.txt").unlink()
            (folder / "manifest.json").write_text("changed")
            with self.assertRaisesRegex(kit.SetupError, "manifest.json was changed"):
                kit.replaced(folder)
            (folder / "manifest.json").write_text("{}")
            kit.replaced(folder)
            self.assertFalse(folder.exists())

    def test_a_kit_that_is_too_large_is_refused_and_the_one_before_stays(self):
        kit = kit_script()
        with tempfile.TemporaryDirectory() as name, unittest.mock.patch.object(kit, "MOST", 10), unittest.mock.patch("builtins.print"):
            made, output = pathlib.Path(name) / "made", pathlib.Path(name) / "kit"
            made.mkdir()
            (made / "x").write_text("too much text")
            with self.assertRaisesRegex(kit.SetupError, "0.0 MB are allowed|are allowed"):
                kit.finish(made, output)
            self.assertFalse(output.exists())
            (made / "x").write_text("little")
            kit.finish(made, output)
            self.assertEqual((output / "x").read_text(), "little")

    def test_without_a_kit_and_a_card_it_is_said_what_is_missing(self):
        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch("builtins.print") as said, \
                unittest.mock.patch.object(gpu_environment, "card", dict), unittest.mock.patch.object(gpu_environment, "python", lambda _program: {}):
            args = gpu_command.arguments("", ["--kit", folder])
            self.assertEqual(gpu_command.run(args), gpu_command.NO_CARD)
        text = " ".join(str(call.args[0]) for call in said.call_args_list)
        self.assertRegex(text, "no NVIDIA card(.|\n)*no PyTorch(.|\n)*no kit in")


if __name__ == "__main__":
    unittest.main()
