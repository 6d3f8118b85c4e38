"""An experiment file -> runs, The Table and verdicts: `ringtrue experiment`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringtrue.cli.terminal import ERROR, OK, Command, say


def add(command: Command) -> None:
    """Declare the commands of this file."""
    experiment = command("experiment", _experiment)
    experiment.add_argument("config", type=Path, help="a YAML file, such as experiments/seed_table.yaml")
    experiment.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at work (1)")
    experiment.add_argument("--smoke", action="store_true", help="one seed, two epochs of 100 steps")
    experiment.add_argument("--out", type=Path, help="folder of the runs (runs/NAME, or runs/NAME-smoke)")
    experiment.add_argument("--results", type=Path, help="folder of tables and report (OUT/results)")
    experiment.add_argument("--report-only", action="store_true", help="train nothing; report what is done")
    experiment.add_argument("--dry-run", action="store_true", help="list the runs and do nothing")
    experiment.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of every run (training.epochs=50), or what a ${NAME} of the file is (MLAAD=/data)",
    )


def _experiment(options: argparse.Namespace) -> int:
    from ringtrue.errors import ConfigError
    from ringtrue.experiment.plan import read_experiment, resolve
    from ringtrue.experiment.runs import is_done

    if options.jobs < 1:
        raise ConfigError(f"--jobs {options.jobs}; one process at least is needed")
    experiment = read_experiment(options.config)
    if options.smoke:
        experiment = experiment.model_copy(update={"seeds": experiment.seeds[:1]})
    out = options.out or Path("runs") / (experiment.name + ("-smoke" if options.smoke else ""))
    variables, overrides = {}, []
    for given in options.set:
        key, equals, value = given.partition("=")
        if not (key and equals):
            raise ConfigError(f"--set {given}: KEY=VALUE is accepted")
        if "." in key:
            overrides.append(given)
        else:
            variables[key] = value
    runs = resolve(experiment, out, overrides, options.smoke)
    if options.dry_run:
        for run in runs:
            print(f"{run}: {'done' if is_done(run, experiment) else 'to do'}, {run.folder}")
        return OK
    return _carry_out(options, experiment, runs, out, variables)


def _carry_out(options, experiment, runs, out, variables) -> int:  # type: ignore[no-untyped-def]
    from ringtrue.experiment.report import write_results
    from ringtrue.experiment.results import gather
    from ringtrue.experiment.runs import carry_out, floor_scores, register

    expected = register(experiment, out, runs)
    if not options.report_only:
        carry_out(experiment, runs, variables, options.jobs, say)
    results = gather(experiment, runs, floor_scores(experiment, out, variables, say), say)
    folder = options.results or out / "results"
    print(write_results(results, runs, expected, folder), end="")
    say(f"{folder / experiment.name}.md, .tex, .csv and .html")
    return ERROR if results.failed else OK
