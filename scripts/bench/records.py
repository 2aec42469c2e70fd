"""The records of measurements: a JSON file of runs (when, where and of which commit) and of what was measured in them."""

import json
import pathlib
import statistics


def spread(values):
    """Median, least and greatest of numbers, to four digits."""
    parts = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return {name: rounded(value) for name, value in parts.items()}


def rounded(value):
    return float(f"{value:.4g}")


class Records:
    """The content of a file of records.

    runs     by name: date, commit, processor, ...
    records  each names its `run`; what it is about stands under the keys of `KEY`
    remarks  sentences about the records of one run in one section of the page; they go with the last of these records
    """

    def __init__(self, path, key):
        self.path, self.key = pathlib.Path(path), key
        known = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        self.runs, self.records, self.remarks = known.get("runs", {}), known.get("records", []), known.get("remarks", [])

    def identity(self, record):
        return [record.get(key) for key in self.key]

    def replace(self, name, run, records):
        """Puts the records of a run in the place of those about the same things. A run may come again, with more records."""

        def outdated(old):
            return any(self.identity(old) == self.identity(new) and self._same_seeds(old, new) for new in records)

        self.runs[name] = run
        self.records = [old for old in self.records if not outdated(old)] + [{**new, "run": name} for new in records]
        alive = {(record["run"], self.section(record)) for record in self.records}
        self.remarks = [remark for remark in self.remarks if (remark["run"], remark["section"]) in alive]
        self.runs = {run: facts for run, facts in self.runs.items() if any(run == alive_run for alive_run, _ in alive)}

    @staticmethod
    def section(record):
        """The section of the page that a record stands in: the first part of what it is about."""
        return record["case"].split("/")[0]

    @staticmethod
    def _same_seeds(old, new):
        """Records of seeds replace one another when they share one; others always do."""
        return "seeds" not in old or bool(set(old["seeds"]) & set(new["seeds"]))

    def write(self):
        """One line for each run and record, so that a new measurement shows as the lines it changes."""

        def lines(opening, items, closing):
            return f"{opening}\n" + ",\n".join(f"    {item}" for item in items) + f"\n  {closing}"

        def text(value):
            return json.dumps(value, ensure_ascii=False)

        runs = lines("{", [f"{text(name)}: {text(run)}" for name, run in self.runs.items()], "}")
        records = lines("[", map(text, self.records), "]")
        remarks = lines("[", map(text, self.remarks), "]")
        whole = f'{{\n  "runs": {runs},\n  "records": {records},\n  "remarks": {remarks}\n}}\n'
        json.loads(whole)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(whole, encoding="utf-8")
