"""Tests of the harness itself, without programs: python3 -m unittest discover scripts/bench"""

import argparse
import contextlib
import dataclasses
import io
import json
import math
import os
import pathlib
import string
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import command
import compare
import machine
import page
import probabilities
import processes
import recipe_summary
import recipe_table
import recipes
import samplers
# Its import makes the folder above known.
import serving_peers
import packages
import speed
import studies
from place import DATASETS, BENCH, Place
from records import Records
from serving_cases import MODELS, SECTIONS, SIDES, WAYS, cases_of
from speed_cases import GROUPS, Case, Group, all_cases


def printing(values):
    """A command whose answer is these values."""
    return [sys.executable, "-c", f"print({json.dumps(values)!r})".replace("{", "{{").replace("}", "}}")]


def group(ours, peer, **more):
    facts = {"name": "g", "title": "G", "compares": "Nothing.", "unit": "ms", "better": "less", "measures": {"step": ""}, "warm_up": 2}
    return Group(**{**facts, "ours": printing(ours), "peer": printing(peer), "cases": [Case("c", {})], **more})


FAILING = [sys.executable, "-c", "import sys; print('out of luck'); sys.exit(3)"]


def compared(made, pairs=3):
    with tempfile.TemporaryDirectory() as folder:
        return compare.compare(made, made.cases[0], Place(pathlib.Path(folder), pathlib.Path(folder)), pairs)


class Comparing(unittest.TestCase):
    def test_the_median_after_the_warm_up_counts(self):
        [record] = compared(group({"step": [900, 800, 10, 30, 20]}, {"step": [1, 1, 40, 40, 40]}))
        self.assertEqual(record["ours"], {"median": 20.0, "low": 20.0, "high": 20.0})
        self.assertEqual(record["ratio"]["median"], 0.5)
        self.assertEqual(record["pairs"], 3)

    def test_ratios_are_taken_pair_by_pair(self):
        ours, peers = [{"step": 1}, {"step": 8}, {"step": 9}], [{"step": 2}, {"step": 4}, {"step": 9}]
        found = compare.record(group({}, {}), Case("c", {}), "step", ours, peers)
        self.assertEqual(found["ratio"], {"median": 1.0, "low": 0.5, "high": 2.0})

    def test_sides_that_do_other_work_are_refused(self):
        other = group({"step": 1, "loss": 2.0}, {"step": 1, "loss": 2.1}, cases=[Case("c", {}, {}, {"loss": 1e-3})])
        with self.assertRaisesRegex(machine.Failed, "loss is 2 on our side and 2.1 on the peer's, which may differ by 0.0021"):
            compared(other)
        with self.assertRaisesRegex(machine.Failed, "loss is nan"):
            compared(group({"step": 1, "loss": float("nan")}, {"step": 1, "loss": 2.1}, cases=[Case("c", {}, {}, {"loss": 1e-3})]))
        self.assertEqual(len(compared(group({"step": 1, "loss": 2.101}, {"step": 1, "loss": 2.1}, cases=other.cases))), 1)

    def test_a_number_that_is_missing_is_named(self):
        for nothing in ({"step": None}, {"step": []}, {"other": 1}):
            with self.assertRaisesRegex(machine.Failed, "g/c: a side gave no number for 'step'"):
                compared(group({"step": 1}, nothing))

    def test_a_program_that_fails_is_named_with_what_it_said(self):
        with self.assertRaisesRegex(machine.Failed, "exit code 3(.|\n)*out of luck"):
            compared(dataclasses.replace(group({}, {}), ours=FAILING))

    def test_a_busy_machine_is_refused(self):
        with unittest.mock.patch("os.getloadavg", return_value=(1.2, 0, 0)), unittest.mock.patch("os.cpu_count", return_value=2):
            with self.assertRaisesRegex(machine.Busy, "1.20 on 2 processors, above the limit of 0.50"):
                machine.refuse_when_busy()
        with unittest.mock.patch("os.getloadavg", return_value=(0.4, 0, 0)), unittest.mock.patch("os.cpu_count", return_value=2):
            machine.refuse_when_busy()


class Keeping(unittest.TestCase):
    def records(self, folder):
        return Records(pathlib.Path(folder) / "x.json", ("case", "measure"))

    def test_a_record_replaces_its_case_and_takes_run_and_remark_along(self):
        with tempfile.TemporaryDirectory() as folder:
            records = self.records(folder)
            records.replace("one", {"date": "d"}, [{"case": "g/a", "measure": "m", "ours": 1}, {"case": "h/b", "measure": "m", "ours": 2}])
            records.remarks = [{"run": "one", "section": "g", "text": "old"}, {"run": "one", "section": "h", "text": "kept"}]
            records.replace("two", {"date": "e"}, [{"case": "g/a", "measure": "m", "ours": 3}])
            records.write()
            again = self.records(folder)
            self.assertEqual([(one["ours"], one["run"]) for one in again.records], [(2, "one"), (3, "two")])
            self.assertEqual([remark["text"] for remark in again.remarks], ["kept"])
            self.assertEqual(list(again.runs), ["one", "two"])
            again.replace("three", {"date": "f"}, [{"case": "h/b", "measure": "m", "ours": 4}])
            self.assertEqual(list(again.runs), ["two", "three"])

    def test_another_seed_is_kept_beside_the_first(self):
        with tempfile.TemporaryDirectory() as folder:
            records = self.records(folder)
            for name, seeds in [("one", [0, 1]), ("two", [2]), ("three", [1])]:
                records.replace(name, {}, [{"case": "g/a", "measure": "m", "seeds": seeds}])
            self.assertEqual([one["seeds"] for one in records.records], [[2], [1]])


class Probabilities(unittest.TestCase):
    def test_measures_of_a_worked_example(self):
        found = probabilities.measures([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]], [0, 1, 1])
        self.assertAlmostEqual(found["accuracy"], 2 / 3)
        self.assertAlmostEqual(found["log_loss"], -sum(map(math.log, [0.8, 0.4, 0.7])) / 3)
        # Each in a bin of its own.
        self.assertAlmostEqual(found["calibration_error"], (0.2 + 0.6 + 0.3) / 3)

    def test_images_are_paired(self):
        same = probabilities.paired([[0, 100] * 20], [[0, 100] * 20])
        self.assertEqual(same, (0, 0, 0))
        mean, low, high = probabilities.paired([[100] * 40], [[100] * 30 + [0] * 10])
        self.assertEqual(mean, 25)
        self.assertTrue(5 < low < 25 < high < 45)

    def test_a_summary_compares_what_has_the_same_seeds(self):
        recipe = recipe_table.Recipe("a", "A", "fridge", {}, {"one": {}, "two": {}}, peers={"three": "x"})
        section = recipe_table.Section("s", "S", "", [recipe])

        def record(variant, seed, right):
            metrics = {"accuracy": right.count("1") / 4, "log_loss": 0.5, "calibration_error": 0.1}
            return {"case": "s/a", "variant": variant, "seeds": [seed], "metrics": metrics, "seconds": 10 * (seed + 1), "right": right}

        records = [record("one", 0, "1111"), record("one", 1, "0000"), record("two", 0, "1100")]
        means, differences = recipe_summary.summary(section, records)
        self.assertIn("| one | 1.0000 | 0.5000 | 0.1000 | 1.00 |", means)
        self.assertIn("| two | 0.5000 | 0.5000 | 0.1000 | 1.00 |", means)
        self.assertIn("| A | 1 | +50.0 (+0.0 to +100.0) |", differences)
        self.assertEqual(recipe_summary.summary(section, []), [])


class Samplers(unittest.TestCase):
    def test_who_is_ahead_is_counted_in_pairs(self):
        self.assertEqual(samplers.ahead([1, 2], [3, 4]), 1)
        self.assertEqual(samplers.ahead([3, 4], [1, 2]), 0)
        self.assertEqual(samplers.ahead([1, 3], [2, 3]), (2 + 0.5) / 4)

    def test_a_difference_is_significant_when_its_interval_leaves_out_0(self):
        verdict = lambda ours, peer: samplers.verdict({"difference": samplers.difference(ours, peer)})
        low, high = [k / 20 for k in range(20)], [1 + k / 20 for k in range(20)]
        self.assertEqual([verdict(low, high), verdict(high, low), verdict(low, low)], ["better", "worse", "no difference"])
        self.assertEqual(samplers.difference(low, high)["median"], -1)

    def test_ranks_follow_from_who_is_ahead(self):
        records = [{"ahead": share, "difference": {"low": low, "high": low + 1}} for share, low in [(0.9, -2), (0.5, -0.5)]]
        self.assertIn("ours 1.30, Optuna's 1.70. Significantly: 1 better, 1 no difference, 0 worse.", " ".join(samplers.summary(records).split()))


class Studies(unittest.TestCase):
    def test_the_second_way_is_compared_with_the_first(self):
        case = studies.Case("signs", "signs", "signs", {"one": studies.Way({}), "many": studies.Way({}, 6)})
        first = {"way": "one", "seeds": [0], "training": 10, "seconds": 10, "metrics": {"accuracy": 0.5}, "right": "1100" * 10}
        second = {**first, "way": "many", "metrics": {"accuracy": 1.0}, "right": "1111" * 10, "states": {"completed": 5, "stopped": 1}}
        rows = [studies.row(case, one, [first, second], "1") for one in (first, second)]
        self.assertEqual(rows[0]["difference"], "")
        self.assertTrue(rows[1]["difference"].startswith("+50.0 (+3"), rows[1]["difference"])
        self.assertEqual((rows[1]["trials"], rows[1]["accuracy"]), ("5 completed, 1 stopped", "1.0000"))
        boxes = [{"metrics": {"ap50_95": 0.25}}, {"metrics": {"ap50_95": 0.2}}]
        self.assertEqual(studies.difference(boxes), "-5.0")


class Serving(unittest.TestCase):
    def test_what_a_process_started_is_counted_with_it(self):
        busy = "import subprocess, sys, time; subprocess.run([sys.executable, '-c', 'sum(range(10**7))']); print(1, flush=True); time.sleep(60)"
        started = subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE)
        try:
            started.stdout.readline()
            self.assertIn(started.pid, processes.tree(os.getpid()))
            self.assertGreater(processes.seconds(started.pid), 0.05)
            self.assertTrue(1 < processes.memory(started.pid) < 1000)
        finally:
            started.kill()
            started.communicate()

    def test_what_a_server_started_ends_with_it(self):
        stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
        parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {stubborn!r}]); time.sleep(60)"
        started = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, start_new_session=True)
        with started.stdout:
            started.stdout.readline()
            serving_peers.end(started)
            # The pipe ends when nobody is left to write into it.
            self.assertEqual(started.stdout.read(), b"")

    def test_rounds_are_joined_and_what_nobody_has_is_left_out(self):
        found = serving_peers.joined([{"rate": 10, "refused_p99": None, "p99": None}, {"rate": 30, "refused_p99": None, "p99": 2}, {"rate": 20}])
        self.assertEqual(found, {"rate": {"median": 20.0, "low": 10.0, "high": 30.0}, "p99": {"median": 2.0, "low": 2.0, "high": 2.0}})

    def test_recovery_ends_with_the_last_request_that_was_not_answered(self):
        self.assertEqual(serving_peers.recovered({"slices": [[0.0, 5, 0], [0.1, 5, 0]]}), 0.0)
        self.assertEqual(serving_peers.recovered({"slices": [[0.0, 0, 5], [0.1, 3, 1], [0.2, 5, 0]]}), 0.2)

    def test_a_row_is_beside_the_loop_of_its_own_language(self):
        one = SECTIONS[0]
        number = lambda value: {"median": value, "low": value, "high": value}
        records = argparse.Namespace(remarks=[], records=[
            {"case": "classifier/alone", "side": "loop", "rounds": 1, "run": "r", "rate": number(50), "cpu": number(20)},
            {"case": "classifier/alone", "side": "python-loop", "rounds": 1, "run": "r", "rate": number(40), "cpu": number(25)},
            {"case": "classifier/8", "side": "ours", "rounds": 3, "run": "r", "rate": {"median": 60, "low": 50, "high": 70}, "cpu": number(21)},
            {"case": "classifier/8", "side": "litserve", "rounds": 1, "run": "r", "rate": number(30), "cpu": number(60)},
        ])
        text = serving_peers.section_of_page(one, records, page.Runs({"r": {}}))
        self.assertIn("| 8 | ours | 60 (50 to 70) | 21 | 20 | 1 |", text)
        self.assertIn("| 8 | LitServe | 30 | 60 | 25 | 1 |", text)
        self.assertIn("No record yet: `classifier/1`, `classifier/32`.", text)

    def test_sides_models_and_applications_are_there(self):
        for one in SECTIONS:
            self.assertIn(one.model, MODELS)
            self.assertFalse(set(one.sides) - set(SIDES), one.name)
            self.assertTrue(cases_of(one))
        for model in MODELS.values():
            self.assertTrue(not model.fixture or (serving_peers.FIXTURES / model.fixture).is_file(), model.fixture)
        for side in SIDES.values():
            for part in side.command:
                fields = {field for _, field, _, _ in string.Formatter().parse(part) if field}
                self.assertIn(side.way, WAYS)
                self.assertTrue((BENCH / f"peers/{side.environment}.txt").is_file(), side.name)
                self.assertFalse(fields - {"programs", "peers", "python", "port", "workers", "threads", "processors", "model"}, side.name)
                if part.startswith("{peers}/"):
                    self.assertTrue((BENCH / "peers" / part[len("{peers}/"):]).is_file(), part)

    def test_a_tensor_is_framed_as_the_protocol_has_it(self):
        with tempfile.TemporaryDirectory() as folder:
            work = serving_peers.of_pixels(pathlib.Path(folder))
            requests = work.of(SIDES["ours"])
            length = int(requests.headers[1].split(":")[1])
            body = requests.bodies[0].read_bytes()
            [tensor] = json.loads(body[:length])["inputs"]
            self.assertEqual(math.prod(tensor["shape"]), len(body) - length)
            self.assertEqual(work.of(SIDES["triton-pixels"]), requests)

    def test_an_image_is_sent_in_the_way_of_the_side(self):
        with tempfile.TemporaryDirectory() as folder:
            image = serving_peers.SMALL
            work = serving_peers.of_images([image], pathlib.Path(folder) / "forms")
            sent = {name: work.of(SIDES[name]) for name in ("ours", "litserve", "bentoml", "triton")}
            self.assertEqual({name: one.path for name, one in sent.items()}, {
                "ours": "/score", "litserve": "/score", "bentoml": "/score", "triton": "/v2/models/m/infer",
            })
            self.assertEqual({name for name, one in sent.items() if one.bodies == [image]}, {"ours", "bentoml", "triton"})
            self.assertIn(image.read_bytes(), sent["litserve"].bodies[0].read_bytes())
            self.assertIn("Inference-Header-Content-Length:0", sent["triton"].headers)
            self.assertIn("Content-Type:image/jpeg", sent["bentoml"].headers)

    def test_an_answer_is_read_without_its_frame(self):
        text = b'{"probs": [1.0]}'
        frame = b'{"outputs": []}'
        element = frame + len(text).to_bytes(4, "little") + text
        headers = {"Inference-Header-Content-Length": str(len(frame))}
        with tempfile.TemporaryDirectory() as folder:
            work = serving_peers.of_images([serving_peers.SMALL], pathlib.Path(folder) / "forms")
            for name, given, expected in [
                ("triton", (200, headers, element), (200, text)), ("triton", (503, {}, b"later"), (503, b"later")),
                ("ours", (200, {}, text), (200, text)), ("litserve", (200, {}, text), (200, text)),
            ]:
                with unittest.mock.patch.object(serving_peers, "ask", return_value=given):
                    self.assertEqual(serving_peers.answered(SIDES[name], work.of(SIDES[name]), "127.0.0.1:1"), expected)

    def test_sides_that_answer_something_else_are_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            images = serving_peers.of_images([serving_peers.SMALL], pathlib.Path(folder) / "forms")
            pixels = serving_peers.of_pixels(pathlib.Path(folder))
            answers = {"labels": ["a"], "probs": [0.5]}
            outputs = b'{"outputs": [{"name": "p", "shape": [1, 3]}]}\xab\xaa'
            cases = [
                (images, answers, json.dumps(answers).encode(), ""), (images, answers, b'{"labels": ["a"], "probs": [0.52]}', ""),
                (images, answers, b'{"labels": ["b"], "probs": [0.5]}', "answers something else"),
                (images, answers, b'{"labels": ["a"], "probs": [0.7]}', "a probability of ours is 0.2 from ours"),
                (pixels, {"outputs": [{"name": "p", "shape": [1, 3]}]}, outputs, ""),
                (pixels, {"outputs": [{"name": "q", "shape": [1, 3]}]}, outputs, "answers something else"),
            ]
            running = argparse.Namespace(address="127.0.0.1:1")
            for work, known, body, refused in cases:
                with unittest.mock.patch.object(serving_peers, "ask", return_value=(200, {}, body)):
                    if refused:
                        with self.assertRaisesRegex(machine.Failed, refused):
                            serving_peers.agreed("g", running, SIDES["ours"], work, known)
                    else:
                        serving_peers.agreed("g", running, SIDES["ours"], work, known)

    def test_triton_is_left_out_with_a_sentence_where_it_does_not_run(self):
        no = unittest.mock.Mock(side_effect=packages.Unavailable("none fits"))
        with unittest.mock.patch.object(serving_peers, "environment", no), contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertIsNone(serving_peers.triton(None))
        self.assertEqual(said.getvalue(), "Triton is left out: none fits\n")
        bench = argparse.Namespace(pythons={"serving": "python3"}, rounds=1)
        asked = []

        @contextlib.contextmanager
        def started(bench, side, model, work):
            asked.append(side.name)
            yield

        nothing = lambda *_: None
        replaced = {"model_of": nothing, "work_of": nothing, "started": started, "agreed": nothing, "closed": lambda *_: {"rate": 1}}
        with unittest.mock.patch.multiple(serving_peers, **replaced), contextlib.redirect_stdout(io.StringIO()):
            serving_peers.measured(bench, SECTIONS[0], ["classifier/8"])
        self.assertEqual(asked, ["ours", "ours-many", "litserve", "litserve-many", "bentoml", "bentoml-many"])

    def test_peers_share_what_does_the_work(self):
        pins = [dict(line.split("==") for line in (BENCH / f"peers/{name}.txt").read_text().split() if "==" in line) for name in serving_peers.PEERS]
        for package in ("onnxruntime", "pillow"):
            self.assertEqual(len({one[package] for one in pins}), 1, package)
        for name, each in zip(serving_peers.PEERS, pins):
            self.assertFalse(set(serving_peers.PEERS[name]) - set(each), name)


class Packages(unittest.TestCase):
    def test_an_environment_is_of_the_first_python_that_fits(self):
        made = []

        def run(*command):
            made.append(command[0])
            (packages.ROOT / "native/tools/x/python").mkdir(parents=True, exist_ok=True)

        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(packages, "ROOT", pathlib.Path(folder)), \
                unittest.mock.patch.object(packages, "run", run):
            wanted = pathlib.Path(folder) / "wanted.txt"
            wanted.write_text("a==1")
            content = iter([False, True])
            python = packages.environment("x", wanted, ("one", "two", "three"), lambda _: next(content))
            self.assertEqual(made, ["one", python, "two", python])
            # It is there now, and nobody is asked again.
            self.assertEqual(packages.environment("x", wanted, ("one",), lambda _: False), python)
            self.assertEqual(len(made), 4)
            wanted.write_text("a==2")
            with self.assertRaisesRegex(packages.Unavailable, "wanted.txt installs does not run with any of these Pythons: one, two"):
                packages.environment("x", wanted, ("one", "two"), lambda _: False)
            self.assertFalse((pathlib.Path(folder) / "native/tools/x").exists())


class Running(unittest.TestCase):
    def run_once(self, milliseconds, folder, **options):
        """The command on a table of one case, with a project of its own. Returns the records."""
        made = group({"step": milliseconds}, {"step": 4})
        book = dataclasses.replace(speed.BOOK, names=["g/c"], sections=[made])
        chosen = {"names": ["g/c"], "list": False, "page": False, "check": False, "quick": False, "ours": True, "busy": True, "set": [],
            "pairs": 1, "threads": 1, "python": "python3", "data": folder, "note": None, "json": None}
        (folder / "docs").mkdir(exist_ok=True)
        with unittest.mock.patch.object(command, "ROOT", folder), unittest.mock.patch.object(speed, "BOOK", book), \
                unittest.mock.patch.object(speed, "all_cases", lambda: [("g/c", made, made.cases[0])]), \
                unittest.mock.patch.object(speed, "versions", lambda place: "a peer 1.0"), unittest.mock.patch("builtins.print"):
            self.assertEqual(speed.run(argparse.Namespace(**{**chosen, **options})), 0)
            return book.records()

    def test_a_measurement_is_kept_and_measured_again_replaced_and_the_page_follows(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            self.run_once(2, folder, ours=False)
            self.assertIn("| 2 | 4 | 0.50 (0.50 to 0.50) | 1 | 1 |", (folder / "docs/speed.md").read_text())
            [record] = self.run_once(3, folder, ours=False, note="Again").records
            self.assertEqual((record["ours"]["median"], record["peer"]["median"], record["ratio"]["median"]), (3.0, 4.0, 0.75))
            text = (folder / "docs/speed.md").read_text()
            self.assertIn("| 3 | 4 | 0.75 (0.75 to 0.75) | 1 | 1 |", text)
            self.assertRegex(" ".join(text.split()), r"commit .*; 1 thread; load at the start .*; beside a peer 1.0. Again\.")
            self.assertNotIn("0.50", text)

    def test_quick_and_one_sided_runs_are_not_recorded(self):
        with tempfile.TemporaryDirectory() as name:
            self.assertEqual(self.run_once(2, pathlib.Path(name), ours=True).records, [])
            self.assertEqual(self.run_once(2, pathlib.Path(name), ours=False, quick=True).records, [])


class Pages(unittest.TestCase):
    def test_a_page_that_was_changed_by_hand_fails_the_check(self):
        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(command, "ROOT", pathlib.Path(folder)):
            (pathlib.Path(folder) / "docs").mkdir()
            with unittest.mock.patch("builtins.print"):
                self.assertEqual(speed.BOOK.publish(check=True), 1)
                self.assertEqual(speed.BOOK.publish(), 0)
                self.assertEqual(speed.BOOK.publish(check=True), 0)
                path = pathlib.Path(folder) / "docs/speed.md"
                path.write_text(path.read_text() + "faster\n")
                self.assertEqual(speed.BOOK.publish(check=True), 1)

    def test_numbers_are_shown_as_they_are_recorded(self):
        self.assertEqual([page.number(value) for value in (1049, 31.35, 0.02, 9.5e-7, 0)], ["1049", "31.35", "0.02", "9.5e-7", "0"])
        self.assertEqual(page.spread({"low": 655, "high": 690}), "655 to 690")
        self.assertEqual(recipes.decimals(0.4139), ".414")
        self.assertEqual(recipes.decimals(1.0), "1.000")

    def test_columns_without_content_are_left_out(self):
        self.assertEqual(page.table([{"a": "1", "b": "", "c": ""}, {"a": "2", "b": "3"}]), "| a | b |\n|---|---|\n| 1 | - |\n| 2 | 3 |")


class Tables(unittest.TestCase):
    def test_names_are_unique(self):
        for names in (speed.BOOK.names, recipes.BOOK.names, samplers.BOOK.names, studies.BOOK.names, serving_peers.BOOK.names):
            self.assertEqual(len(names), len(set(names)))

    def test_quick_parameters_are_parameters(self):
        for one in GROUPS:
            self.assertFalse(set(one.quick) - set(one.cases[0].parameters), one.name)

    def test_every_command_can_be_filled_in(self):
        known = {"programs", "bench", "peers", "python", "threads", "folder", "this_python"}
        prepared = {"listing", "train", "validation", "yolo", "run", "weights"}
        for name, one, case in all_cases():
            for part in [*one.ours, *(one.peer or [])]:
                fields = {field for _, field, _, _ in string.Formatter().parse(str(part)) if field}
                self.assertFalse(fields - known - prepared - set(case.parameters), name)

    def test_peers_and_datasets_are_there(self):
        for name, one, case in all_cases():
            for part in one.peer or []:
                if part.startswith("{peers}/"):
                    self.assertTrue((BENCH / "peers" / part[len("{peers}/"):]).is_file(), part)
            self.assertIn(case.parameters.get("data", "fridge"), DATASETS, name)
        for section in recipe_table.SECTIONS:
            self.assertTrue(all(recipe.data in DATASETS for recipe in section.recipes))


if __name__ == "__main__":
    unittest.main()
